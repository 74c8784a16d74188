import assert from "node:assert/strict";
import { test } from "node:test";

test("a view that a person has already left changes nothing in the browser's history", async () => {
  const browser = globalThis as Record<string, unknown>;
  const replaced: string[] = [];
  const location = { hash: "#/workloads" };
  const listeners: (() => void)[] = [];
  const given = {
    location,
    history: {
      replaceState: (_state: unknown, _title: string, link: string) => {
        replaced.push(link);
        location.hash = link;
      },
    },
    addEventListener: (_type: string, listener: () => void) => listeners.push(listener),
  };
  const before = Object.keys(given).map((name) => [name, Object.getOwnPropertyDescriptor(browser, name)] as const);
  for (const [name, value] of Object.entries(given))
    Object.defineProperty(browser, name, { value, configurable: true, writable: true });
  try {
    const { place, setQuery } = await import("./router.ts");
    setQuery({ q: "frontend" });
    assert.deepEqual(replaced, ["#/workloads?q=frontend"]);
    // The browser reports a new link only after timers that are due have run.
    location.hash = "#/services";
    setQuery({ q: "" });
    assert.equal(location.hash, "#/services");
    for (const listener of listeners) listener();
    assert.deepEqual(place.value.path, ["services"]);
    setQuery({ q: "cart" });
    assert.equal(location.hash, "#/services?q=cart");
  } finally {
    for (const [name, descriptor] of before)
      if (descriptor === undefined) Reflect.deleteProperty(browser, name);
      else Object.defineProperty(browser, name, descriptor);
  }
});
