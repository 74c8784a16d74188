import { ChunkedScanner } from "../../../src/wire/http1/index.ts";
import { expect, type FuzzTarget } from "../target.ts";

interface Body {
  readonly verdict: string;
  readonly used: number;
  readonly data: Buffer;
  readonly kept: Buffer;
  readonly trailers: string;
}

function read(input: Buffer, pieceBytes: number, keepsTrailers: boolean): Body {
  const scanner = new ChunkedScanner();
  scanner.keepsTrailers = keepsTrailers;
  const data: Buffer[] = [];
  const kept: Buffer[] = [];
  let used = 0;
  while (used < input.length && !scanner.done && !scanner.bad) {
    const end = Math.min(input.length, used + pieceBytes);
    const from = used;
    used = scanner.scan(input, used, end, (start, stop) => data.push(input.subarray(start, stop)));
    kept.push(scanner.kept(input, from, used) ?? input.subarray(from, used));
  }
  return {
    verdict: scanner.done ? "done" : scanner.bad ? "bad" : "more",
    used,
    data: Buffer.concat(data),
    kept: Buffer.concat(kept),
    trailers: scanner.trailers,
  };
}

export const target: FuzzTarget = {
  title: "chunked bodies of HTTP/1",
  seeds: [
    "5\r\nhello\r\n0\r\n\r\n",
    'a;x="y"\r\n0123456789\r\n1;z\r\n!\r\n000\r\n\r\n',
    "1\r\na\r\n0\r\nX-End: yes\r\nb:\r\n\r\nGET / HTTP/1.1\r\n",
    "ffffffffffff\r\n",
  ],
  run: (input) => {
    const atOnce = read(input, input.length, false);
    for (const pieceBytes of [1, 7]) {
      const pieces = read(input, pieceBytes, false);
      expect(
        pieces.verdict === atOnce.verdict && pieces.used === atOnce.used,
        "a body ends at the same byte in pieces",
      );
      expect(pieces.data.equals(atOnce.data) && pieces.kept.equals(atOnce.kept), "a body has the same data in pieces");
    }
    if (atOnce.verdict === "done") {
      const again = read(atOnce.kept, atOnce.kept.length, false);
      expect(again.verdict === "done" && again.used === atOnce.kept.length, "what goes on is a whole body");
      expect(again.data.equals(atOnce.data) && again.kept.equals(atOnce.kept), "what goes on has the same data");
    }
    const keeping = read(input, 5, true);
    expect(keeping.verdict === atOnce.verdict && keeping.used === atOnce.used, "keeping trailers changes no end");
    expect(atOnce.trailers === "", "trailers are kept where they are wanted alone");
  },
};
