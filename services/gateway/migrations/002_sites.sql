-- What shops say of their pages: which origins, routes, products and interactions may be counted. Nothing names a person.

CREATE SEQUENCE site_version;

CREATE TABLE site (
    storefront text PRIMARY KEY CHECK (storefront ~ '^[a-z][a-z0-9-]{1,30}$'),
    version bigint NOT NULL DEFAULT nextval('site_version'),
    document text NOT NULL,
    set_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON COLUMN site.version IS 'Another one for each change, so that a gateway reads no document twice.';
