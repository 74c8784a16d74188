import assert from "node:assert/strict";
import { test } from "node:test";
import { MessageHead, defaultHeadLimits, scanRequestHead } from "../../wire/http1/index.ts";
import { readContext } from "./trace-context.ts";

function headOf(value: string): MessageHead {
  const head = new MessageHead(defaultHeadLimits);
  const text = Buffer.from(`GET / HTTP/1.1\r\nhost: a\r\nb3: ${value}\r\n\r\n`);
  assert.equal(scanRequestHead(head, text, 0, text.length, defaultHeadLimits), text.length);
  return head;
}

test("the single b3 header takes trace ids of 16 or 32 digits, and no others", () => {
  const span = "a2fb4a1d1a96d312";
  for (const digits of [16, 32]) {
    const traceId = "4".repeat(digits);
    assert.deepEqual(readContext(headOf(`${traceId}-${span}-1`), ["b3"]), {
      traceId,
      parentSpanId: span,
      sampled: true,
    });
  }
  for (const digits of [15, 17, 31, 33])
    assert.equal(readContext(headOf(`${"4".repeat(digits)}-${span}-1`), ["b3"]), "none", String(digits));
});
