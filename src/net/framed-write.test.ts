import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { partsAfter, type FramedBytes } from "./framed-write.ts";

test("the rest of a framed write is what follows its first bytes, with no empty parts", () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 30 }),
      fc.nat({ max: 29 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (headLengths, pieceBytes, missing, share) => {
        const body = Buffer.from(
          Array.from({ length: Math.max(1, headLengths.length * pieceBytes - (missing % pieceBytes)) }, (_, at) => at),
        );
        const headEnds: number[] = [];
        for (const length of headLengths) headEnds.push((headEnds.at(-1) ?? 0) + length);
        const heads = Buffer.from(Array.from({ length: headEnds.at(-1) ?? 0 }, (_, at) => 255 - at));
        const framed: FramedBytes = { heads, headEnds, body, pieceBytes };
        const whole = Buffer.concat(
          headEnds.flatMap((end, piece) => [
            heads.subarray(headEnds[piece - 1] ?? 0, end),
            body.subarray(piece * pieceBytes, (piece + 1) * pieceBytes),
          ]),
        );
        const written = Math.round(share * whole.length);
        const parts = partsAfter(framed, written);
        assert.deepEqual(Buffer.concat(parts), whole.subarray(written));
        assert.ok(parts.every(({ length }) => length > 0));
      },
    ),
  );
});
