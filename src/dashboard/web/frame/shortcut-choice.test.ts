import assert from "node:assert/strict";
import { after, test } from "node:test";

const stored = new Map<string, string>();
Object.defineProperty(globalThis, "localStorage", {
  configurable: true,
  value: {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
  },
});
after(() => Reflect.deleteProperty(globalThis, "localStorage"));

test("shortcuts of single keys are on until a person switches them off, which the browser remembers", async () => {
  const { chooseShortcuts, shortcutsOn } = await import("./shortcut-choice.ts");
  assert.equal(shortcutsOn.value, true);
  chooseShortcuts(false);
  assert.deepEqual([shortcutsOn.value, stored.get("serin.shortcuts")], [false, "off"]);
  chooseShortcuts(true);
  assert.deepEqual([shortcutsOn.value, stored.get("serin.shortcuts")], [true, "on"]);
});
