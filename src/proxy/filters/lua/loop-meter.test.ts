import assert from "node:assert/strict";
import { test } from "node:test";
import { meteredModule, type MeterExports } from "./loop-meter.ts";
import { webAssembly } from "./web-assembly.ts";

const [i32, end] = [0x7f, 0x0b];
const sized = (bytes: readonly number[]): number[] => [bytes.length, ...bytes];
const section = (id: number, ...entries: readonly (readonly number[])[]): number[] => [
  id,
  ...sized([entries.length, ...entries.flat()]),
];
const text = (value: string): number[] => sized([...Buffer.from(value)]);
/** Subtracts one from the parameter, and leaves it on the stack. */
const countDown = [0x20, 0, 0x41, 1, 0x6b, 0x22, 0];
const [block, loop, branch, branchIf, branchTable] = [0x02, 0x03, 0x0c, 0x0d, 0x0e];
const loops: Readonly<Record<string, readonly number[]>> = {
  // loop { n -= 1; br_if n }
  conditional: [loop, 0x40, ...countDown, branchIf, 0, end],
  // block { loop { n -= 1; if n == 0, leave; br } }
  unconditional: [block, 0x40, loop, 0x40, ...countDown, 0x45, branchIf, 1, branch, 0, end, end],
  // block { loop { n -= 1; br_table (n == 0 ? out : again) } }
  table: [block, 0x40, loop, 0x40, ...countDown, 0x45, branchTable, 1, 0, 1, end, end],
};

const header = [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0];

function moduleWith(body: readonly number[]): Uint8Array {
  return Uint8Array.from([
    ...header,
    ...section(1, [0x60, 0, 0], [0x60, 1, i32, 0]),
    ...section(3, [1]),
    ...section(4, [0x70, 0, 1]),
    ...section(6, [i32, 1, 0x41, 5, end]),
    ...section(7, [...text("run"), 0, 0]),
    ...section(10, sized([0, ...body, end])),
  ]);
}

interface Exports extends MeterExports {
  readonly run: (count: number) => void;
}

for (const [kind, body] of Object.entries(loops))
  test(`each jump back of a loop takes one from the fuel: ${kind}`, () => {
    const { exports } = new webAssembly.Instance(new webAssembly.Module(meteredModule(moduleWith(body))), {});
    const { run, loopFuel } = exports as unknown as Exports;
    // The meter counts each jump of a jump table, because one of its targets is the loop.
    const last = kind === "table" ? 1 : 0;
    loopFuel.value = 1000;
    run(1);
    assert.equal(loopFuel.value, 1000 - last);
    run(301);
    assert.equal(loopFuel.value, 700 - 2 * last);
    // The module's table has no function at this place yet, so the meter's call fails.
    assert.throws(() => run(1000), webAssembly.RuntimeError);
  });
