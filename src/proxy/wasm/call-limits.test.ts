import assert from "node:assert/strict";
import { test } from "node:test";
import { RunningModule } from "./testing/run-module.ts";

const [i32, i64, end] = [0x7f, 0x7e, 0x0b];
const sized = (bytes: readonly number[]): number[] => [...unsigned(bytes.length), ...bytes];
const text = (value: string): number[] => sized([...Buffer.from(value)]);
const section = (id: number, ...entries: readonly (readonly number[])[]): number[] => [
  id,
  ...sized([entries.length, ...entries.flat()]),
];

function unsigned(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...unsigned(value >>> 7)];
}

/** Signed LEB128 of a number that is not negative. */
function signed(value: number): number[] {
  return value < 0x40 ? [value] : [(value & 0x7f) | 0x80, ...signed(value >>> 7)];
}

interface Flood {
  readonly import: string;
  readonly operands: readonly number[];
  /** The position of the operand that has 64 bits, if there is one. */
  readonly long?: number;
}

function flooding({ import: name, operands, long = -1 }: Flood): Uint8Array {
  const constants = operands.flatMap((value, index) => [index === long ? 0x42 : 0x41, ...signed(value)]);
  const parameters = operands.map((_, index) => (index === long ? i64 : i32));
  const none = [0, end];
  const loop = [0, 0x03, 0x40, ...constants, 0x10, 0, 0x1a, 0x0c, 0, end, 0x41, 0, end];
  return Uint8Array.from([
    ...Buffer.from("\0asm\u0001\0\0\0", "latin1"),
    ...section(
      1,
      [0x60, ...sized(parameters), 1, i32],
      [0x60, 0, 0],
      [0x60, 1, i32, 1, i32],
      [0x60, 3, i32, i32, i32, 1, i32],
    ),
    ...section(2, [...text("env"), ...text(name), 0, 0]),
    ...section(3, [1], [2], [3]),
    ...section(5, [0, 2]),
    ...section(
      7,
      [...text("memory"), 2, 0],
      [...text("proxy_abi_version_0_2_1"), 0, 1],
      [...text("malloc"), 0, 2],
      [...text("proxy_on_request_headers"), 0, 3],
    ),
    ...section(10, sized(none), sized([0, 0x41, 0, end]), sized(loop)),
  ]);
}

const size = 65_536;
const floods: readonly Flood[] = [
  { import: "proxy_set_property", operands: [0, 4, 0, size] },
  { import: "proxy_send_local_response", operands: [403, 0, 4, 0, size, 0, 4, 0] },
  { import: "proxy_add_header_map_value", operands: [0, size, 1, 0, size] },
  { import: "proxy_set_shared_data", operands: [0, 1, 0, size, 0] },
  { import: "proxy_get_shared_data", operands: [0, 1, 0, 0, 0] },
  { import: "proxy_record_metric", operands: [1, 1], long: 1 },
  { import: "proxy_set_tick_period_milliseconds", operands: [1000] },
];

for (const flood of floods)
  test(`a module that calls ${flood.import} without an end is ended before its messages fill the proxy's memory`, async () => {
    using running = await RunningModule.start(flooding(flood));
    const before = process.memoryUsage.rss();
    await assert.rejects(running.open([]), /hands more than 33554432 bytes to its proxy in one call/);
    assert.deepEqual(running.failures.slice(0, 1), ["trap"]);
    assert.ok(process.memoryUsage.rss() - before < 512 * 1024 * 1024);
  });

test("a call into a module logs a bounded number of lines", async () => {
  using running = await RunningModule.start(flooding({ import: "proxy_log", operands: [2, 0, 4] }), {
    deadlineMs: 300,
  });
  await assert.rejects(running.open([]));
  assert.equal(running.logs.length, 1001);
  assert.match(running.logs.at(-1) ?? "", /further lines of this call are not logged/);
});
