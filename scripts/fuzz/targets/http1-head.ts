import {
  headIncomplete,
  headRefused,
  MessageHead,
  requestFraming,
  responseFraming,
  scanRequestHead,
  scanResponseHead,
} from "../../../src/wire/http1/index.ts";
import { expect, type FuzzTarget } from "../target.ts";

const limits = { maxHeadBytes: 1500, maxFields: 20 };
const atOnce = new MessageHead(limits);
const piece = new MessageHead(limits);

type Scan = typeof scanRequestHead;

/** Scans a head. Its meaning must not depend on the bytes that follow it, or on how it is split into pieces. */
function scan(scanner: Scan, input: Buffer): number {
  const end = scanner(atOnce, input, 0, input.length, limits);
  expect(end <= input.length, "a head ends within its bytes");
  if (end === headRefused) expect(atOnce.error !== undefined, "a refused head has a reason");
  for (const cut of [input.length >> 1, input.length - 1]) {
    if (cut < 0) continue;
    const early = scanner(piece, input, 0, cut, limits);
    if (early > 0) expect(early === end, "a head that is whole stays as long when more comes");
    if (early === headRefused) expect(end === headRefused, "a refused head stays refused when more comes");
    if (end > cut) expect(early === headIncomplete, "a head that is not whole asks for more");
  }
  return end;
}

function readAll(): void {
  for (let field = 0; field < atOnce.fieldCount; field += 1) {
    expect(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(atOnce.name(field)), "a field's name is a token");
    // eslint-disable-next-line no-control-regex
    expect(!/[\0-\x08\x0a-\x1f\x7f]/.test(atOnce.value(field)), "a field's value holds no control byte");
    atOnce.hasToken(field, "close");
    expect(atOnce.find(atOnce.name(field).toLowerCase()) <= field, "a field is found by its name");
  }
  atOnce.get("x-forwarded-for");
  expect(!(atOnce.chunked && atOnce.contentLength >= 0), "a body has one length");
}

export const target: FuzzTarget = {
  title: "heads of HTTP/1 requests and responses",
  seeds: [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /x?y=1 HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close, x-y\r\n\r\n0\r\n\r\n",
    "\r\nGET http://a/ HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 101 \r\nx-envoy-a: b\r\ntraceparent: 00-1-1-01\r\n\r\n",
  ],
  run: (input) => {
    if (scan(scanRequestHead, input) > 0) {
      readAll();
      expect(atOnce.method().length > 0 && !/[\s]/.test(atOnce.target()), "a method and a target without spaces");
      requestFraming(atOnce);
    }
    if (scan(scanResponseHead, input) > 0) {
      readAll();
      responseFraming(atOnce, false);
      responseFraming(atOnce, true);
    }
  },
};
