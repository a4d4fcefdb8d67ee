/* Lethe counts pages and follows nobody: no cookie, no storage, no identifier, and nothing at all where it was refused. */
(function (w, d, n) {
  var me = d.currentScript, to = me && new URL(me.src), max = 50, names = /^(view_item|search|view_search_results|add_to_cart|remove_from_cart|view_cart|add_to_wishlist|view_item_list|select_item|view_promotion|select_promotion|share|video_play)$/;
  var page, events, since, seen, told, shown, from = '', early = w.lethe && w.lethe.q || [], layer, push, go;

  function refused() {
    return n.globalPrivacyControl || n.doNotTrack == 1 || w.doNotTrack == 1 || w.letheRefused === true ||
      d.documentElement.dataset.lethe == 'off';
  }
  function here() { return location.pathname + location.search; }
  function watch() {
    if (d.visibilityState == 'visible') { since = performance.now(); shown = 1; }
  }
  function begin(referrer) {
    page = { page_location: here(), page_referrer: referrer };
    events = []; since = seen = told = shown = 0;
    watch();
  }
  function send() {
    if (since) seen += performance.now() - since;
    since = 0;
    if (refused() || !shown || (told && !events.length)) return;
    /* What is done after the page was told, on coming back to its tab, is told without it: a page is one page view. */
    var message = told ? {} : page;
    message.engagement_time_msec = told ? void 0 : 1000 * [600, 180, 60, 30, 10, 0].find(function (least) { return seen >= 1000 * least; });
    message.events = events;
    events = []; told = 1;
    n.sendBeacon(to.origin + '/v1/collect' + to.search, JSON.stringify(message));
  }
  function note(name, params) {
    if (!names.test(name) || events.length >= max) return;
    params = params || {};
    var shop = params.ecommerce || params, kept = {};
    if (params.search_term) kept.search_term = String(params.search_term).slice(0, 200);
    if (shop.items && shop.items.map) kept.items = shop.items.slice(0, 10).filter(Boolean).map(function (item) {
      return { item_id: item.item_id || item.item_name, item_category: item.item_category };
    });
    events.push({ name: name, params: kept });
  }
  function hear(pushed) {
    /* gtag() pushes its arguments, a data layer an object. What we cannot read is the shop's own, and no error of it. */
    try {
      if (pushed && pushed[0] == 'event') note(pushed[1], pushed[2]);
      else if (pushed) note(pushed.event, pushed);
    } catch (e) {}
  }
  function turn() {
    var left = page.page_location;
    if (here() != left) { send(); begin(left); }
  }
  function lethe(kind, name, params) { if (page && kind == 'event') note(name, params); }

  if (w.lethe && w.lethe.on) return;
  w.lethe = lethe;
  lethe.on = 1;
  if (!to || refused()) return;
  try { from = new URL(d.referrer); from = from.origin == location.origin ? from.pathname + from.search : ''; } catch (e) { from = ''; }
  begin(from);
  early.forEach(function (call) { lethe.apply(w, call); });
  layer = w.dataLayer = w.dataLayer || [];
  layer.forEach(hear);
  push = layer.push;
  layer.push = function () { var done = push.apply(layer, arguments); [].forEach.call(arguments, hear); return done; };
  go = history.pushState;
  history.pushState = function () { go.apply(history, arguments); turn(); };
  w.addEventListener('popstate', turn);
  d.addEventListener('visibilitychange', function () { if (d.visibilityState == 'hidden') send(); else watch(); });
  w.addEventListener('pagehide', send);
})(window, document, navigator);
