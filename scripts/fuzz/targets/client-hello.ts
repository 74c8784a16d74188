import { parseClientHello } from "../../../src/proxy/listener/client-hello.ts";
import { expect, type FuzzTarget } from "../target.ts";

function extension(type: number, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from([type >> 8, type & 255]), sized(2, body)]);
}

function sized(bytes: number, body: Buffer): Buffer {
  const length = Buffer.alloc(bytes);
  length.writeUIntBE(body.length, 0, bytes);
  return Buffer.concat([length, body]);
}

function hello(extensions: readonly Buffer[], recordBytes = 16_384): Buffer {
  const body = Buffer.concat([
    Buffer.from([3, 3]),
    Buffer.alloc(32),
    sized(1, Buffer.alloc(32)),
    sized(2, Buffer.from([0x13, 1])),
    sized(1, Buffer.alloc(1)),
    sized(2, Buffer.concat(extensions)),
  ]);
  const message = Buffer.concat([Buffer.from([1]), sized(3, body)]);
  const records: Buffer[] = [];
  for (let at = 0; at < message.length; at += recordBytes)
    records.push(Buffer.from([22, 3, 1]), sized(2, message.subarray(at, at + recordBytes)));
  return Buffer.concat(records);
}

const name = extension(0, sized(2, Buffer.concat([Buffer.alloc(1), sized(2, Buffer.from("a.example.com"))])));
const protocols = extension(16, sized(2, Buffer.concat([sized(1, Buffer.from("h2")), sized(1, Buffer.from("istio"))])));

export const target: FuzzTarget = {
  title: "the ClientHello of TLS",
  seeds: [hello([name, protocols]), hello([protocols, name], 20), hello([]), "GET / HTTP/1.1\r\n"],
  run: (input) => {
    const parsed = parseClientHello(input);
    if (parsed.kind === "tls") {
      expect(parsed.serverName.length <= 255 && !parsed.serverName.includes("\0"), "a server's name is one");
      const more = parseClientHello(Buffer.concat([input, Buffer.from([23, 3, 3, 0, 1, 0])]));
      expect(JSON.stringify(more) === JSON.stringify(parsed), "what comes behind changes nothing");
    }
    const early = parseClientHello(input.subarray(0, input.length >> 1));
    if (parsed.kind === "incomplete") expect(early.kind === "incomplete", "what asks for more did so before");
    if (early.kind === "not-tls") expect(parsed.kind === "not-tls", "what is refused stays refused");
  },
};
