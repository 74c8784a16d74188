import assert from "node:assert/strict";
import { test } from "node:test";
import { formatPlace, parsePlace, placeFrom, withQuery } from "./place.ts";

test("a place survives its link, whatever its names contain", () => {
  const place = {
    path: ["config", "networking.istio.io/v1", "VirtualService", "shop", "a b"],
    query: { q: "x&y=1", ns: "shop,bank" },
  };
  assert.deepEqual(parsePlace(formatPlace(place)), place);
});

test("links are parsed with or without sign and slash, and broken escapes stay unchanged", () => {
  assert.deepEqual(parsePlace("#/ladder"), { path: ["ladder"], query: {} });
  assert.deepEqual(parsePlace("ladder?q=a"), { path: ["ladder"], query: { q: "a" } });
  assert.deepEqual(parsePlace(""), { path: [], query: {} });
  assert.deepEqual(parsePlace("#/a/%zz").path, ["a", "%zz"]);
});

test("namespaces, window and moment are kept in another view, and its own filters are dropped", () => {
  const here = parsePlace("#/graph?ns=shop&at=5&window=60&q=pay&by=app");
  assert.equal(formatPlace(placeFrom(here, ["ladder"])), "#/ladder?at=5&ns=shop&window=60");
});

test("a parameter is set, or removed by an empty value", () => {
  const here = parsePlace("#/graph?q=pay");
  assert.equal(formatPlace(withQuery(here, { q: "", by: "app" })), "#/graph?by=app");
});
