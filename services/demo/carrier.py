"""A carrier with nothing of ours: a plain Kafka client, a JOSE library, its kit and its own private key.

It takes every label, opens it, reports the parcel under way, delivers when told to, and forgets what is revoked. One
that is slow in its duties says nothing when it should have forgotten.
"""

import json
import threading
import uuid
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, Message, Producer
from joserfc import jwe
from joserfc.jwk import ECKey

ALGORITHMS = ["ECDH-ES+A256KW", "A256GCM"]
Label = Mapping[str, Any]


class Carrier:
    """Works in a thread of its own between `start` and `stop`."""

    def __init__(self, name: str, *, acknowledges: bool) -> None:
        self.name = name
        self.acknowledges = acknowledges
        self._private = ECKey.generate_key("P-256", {"use": "enc"})
        self.labels: dict[str, Label] = {}
        """Opened labels by reference, as long as the carrier may have them."""
        self.opened = 0
        self.delivered: set[str] = set()
        self.revoked: dict[str, str] = {}
        """References of copies it had to forget, and the reason it was given."""
        self.unreadable = 0
        self.settings: dict[str, str] = {}
        """Its login, as the kit has it."""
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def public_key(self) -> dict[str, Any]:
        """The half that the platform is told."""
        return dict(self._private.as_dict(private=False))

    def start(self, settings: Mapping[str, str]) -> None:
        """Begin to work with the login of the kit."""
        self.settings = dict(settings)
        self._producer = Producer({**settings, "log_level": 0})
        consumer = Consumer(
            {
                **settings,
                "group.id": f"partner.{self.name}.vans",
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "log_level": 0,
            }
        )
        consumer.subscribe([f"partner.{self.name}.shipments"])
        self._thread = threading.Thread(target=self._work, args=(consumer,), name=self.name, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End; nothing happens where it never began."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._producer.flush(10)

    def deliver(self, wanted: Callable[[Label], bool]) -> int:
        """Report every parcel under way that is wanted as delivered; return how many."""
        with self._guard:
            going = [
                name for name, label in self.labels.items() if name not in self.delivered and wanted(label)
            ]
            self.delivered.update(going)
        for reference in going:
            self._report(reference, "lethe.parcel.reported.v1", status="delivered")
        self._producer.flush(10)
        return len(going)

    def label_with(self, text: str) -> Label | None:
        """Return an opened label that says this somewhere."""
        with self._guard:
            return next(
                (label for label in self.labels.values() if text in json.dumps(label, ensure_ascii=False)),
                None,
            )

    def _work(self, consumer: Consumer) -> None:
        try:
            while not self._stopping.is_set():
                for message in consumer.consume(500, timeout=0.2):
                    error = message.error()
                    if error is None:
                        self._take(message)
                    elif error.code() not in (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN):
                        self.unreadable += 1
                self._producer.poll(0)
        finally:
            consumer.close()

    def _take(self, message: Message) -> None:
        reference = (message.key() or b"").decode()
        value = message.value()
        if value is None:
            reason: Any = dict(message.headers() or ()).get("ce_reason", b"")
            self._forget(reference, reason.decode())
            return
        label = json.loads(value)["label"]
        opened = jwe.decrypt_compact(label, self._private, algorithms=ALGORITHMS)
        with self._guard:
            self.labels[reference] = json.loads(opened.plaintext or b"")
            self.opened += 1
        self._report(reference, "lethe.parcel.reported.v1", status="in_transit")

    def _forget(self, reference: str, reason: str) -> None:
        with self._guard:
            self.revoked[reference] = reason
            self.labels.pop(reference, None)
        if self.acknowledges:
            self._report(reference, "lethe.copy.erased.v1")

    def _report(self, reference: str, kind: str, **more: str) -> None:
        headers = {
            "ce_specversion": "1.0",
            "ce_id": str(uuid.uuid4()),
            "ce_type": kind,
            "ce_source": f"/partners/{self.name}",
            "content-type": "application/json",
        }
        self._producer.produce(
            f"partner.{self.name}.updates",
            key=reference,
            value=json.dumps({"reference": reference, **more}),
            headers={name: text.encode() for name, text in headers.items()},
        )
