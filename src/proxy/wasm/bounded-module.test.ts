import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { boundedModule } from "./bounded-module.ts";
import { engine, type ModuleMemory } from "./engine.ts";

const code = await readFile(join(import.meta.dirname, "../../../test/wasm/test-module.wasm"));
const mebibyte = 1024 * 1024;

async function memoryOf(bytes: Uint8Array): Promise<ModuleMemory & { grow(pages: number): number }> {
  const module = await engine.compile(bytes);
  const env = Object.fromEntries(engine.Module.imports(module).map(({ name }) => [name, () => 0]));
  const { memory } = new engine.Instance(module, { env }).exports;
  return memory as ModuleMemory & { grow(pages: number): number };
}

test("a module's memory grows to the bound and no further", async () => {
  const free = await memoryOf(code);
  free.grow(100);
  assert.equal(free.buffer.byteLength, 102 * 65_536);
  const bounded = await memoryOf(boundedModule(code, mebibyte));
  bounded.grow(14);
  assert.equal(bounded.buffer.byteLength, mebibyte);
  assert.throws(() => bounded.grow(1), RangeError);
});

test("bytes that are not a module, are truncated, or start with too much memory are refused with the reason", () => {
  assert.throws(() => boundedModule(Buffer.from("<html>"), mebibyte), /does not begin with/);
  assert.throws(() => boundedModule(code.subarray(0, 100), mebibyte), /cut off/);
  assert.throws(() => boundedModule(code, 65_536), /begins with 131072 bytes of memory; at most 65536/);
});
