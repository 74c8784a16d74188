import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { ByteBuilder } from "./byte-builder.ts";

test("the line of a header has the bytes of its text, whatever its letters and length are", () => {
  const value = fc.oneof(fc.string({ unit: "binary" }), fc.string({ minLength: 60, maxLength: 200 }));
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.string(), value), { maxLength: 4 }), (fields) => {
      const lines = new ByteBuilder(8);
      const text = new ByteBuilder(8);
      for (const [name, content] of fields) {
        lines.field(name, content);
        text.text(`${name}: ${content}\r\n`);
      }
      assert.deepEqual(lines.view(), text.view());
    }),
  );
});

test("a letter beyond Latin-1 cannot end the line of a header", () => {
  const lines = new ByteBuilder(8);
  lines.field("x-a", "b\u010a\u010dx-b: c");
  assert.equal(lines.view().toString("utf8"), "x-a: b\u010a\u010dx-b: c\r\n");
  assert.equal(lines.view().indexOf("\n"), lines.length - 1);
});

test("a view has the bytes of its message, and keeps them after the builder has taken new memory", () => {
  const builder = new ByteBuilder(4);
  builder.text("abcd");
  const first = builder.view();
  assert.equal(builder.view(), first);
  builder.text("e");
  assert.deepEqual([first.toString(), builder.view().toString()], ["abcd", "abcde"]);
  const grown = builder.view();
  builder.replace(0, 1, "A");
  assert.equal(builder.view().toString(), "Abcde");
  builder.replace(0, 1, "xy");
  assert.deepEqual([grown.toString(), builder.view().toString()], ["Abcde", "xybcde"]);
  const replaced = builder.view();
  builder.detach(4);
  builder.text("123456");
  assert.deepEqual([replaced.toString(), builder.view().toString()], ["xybcde", "123456"]);
  const detached = builder.view();
  builder.clear(6);
  builder.text("abcdef");
  assert.deepEqual([detached.toString(), builder.view().toString()], ["123456", "abcdef"]);
  builder.clear();
  assert.equal(builder.view().length, 0);
});
