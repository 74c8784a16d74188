import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectPlain, createServer as createPlainServer, type AddressInfo } from "node:net";
import { before, test } from "node:test";
import { connect, type ConnectionOptions, type TLSSocket } from "node:tls";
import { until } from "../base/testing/index.ts";
import { alertCode, contentType, suiteOf } from "../wire/tls13/index.ts";
import { listenTcp } from "./byte-path.ts";
import type { ByteStream, ByteStreamHandler, SecureStream } from "./byte-stream.ts";
import { hasRecordCiphers, Opener, sealedBytes, Sealer } from "./record-cipher.ts";
import { chooseRecordLayer, describeRecordLayer } from "./record-layer.ts";
import { RecordStream } from "./record-stream.ts";
import { TestAuthority, type Issued } from "./testing/certificates.ts";
import { pattern, Recorder } from "./testing/recorder.ts";
import { TlsContext } from "./tls-context.ts";
import { secureServer } from "./tls.ts";

const suite = suiteOf("TLS_AES_128_GCM_SHA256") ?? assert.fail();
const secrets = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)] as const;
let issued: Issued;

before(async () => {
  assert.ok(hasRecordCiphers());
  issued = await (await TestAuthority.create()).issue({ spiffe: "spiffe://cluster.local/ns/default/sa/ours" });
});

class Below implements ByteStream {
  handler: ByteStreamHandler | undefined;
  bufferedBytes = 0;
  readonly written: Uint8Array[] = [];
  readonly local = { address: "127.0.0.1", port: 1 };
  readonly remote = { address: "127.0.0.1", port: 2 };
  readonly fd = -1;
  readonly receivedBytes = 0;
  readonly sentBytes = 0;
  isDestroyed = false;

  setHandler(handler: ByteStreamHandler): void {
    this.handler = handler;
  }
  write(bytes: Uint8Array): boolean {
    if (this.isDestroyed) return false;
    this.written.push(bytes);
    return this.bufferedBytes === 0;
  }
  end(): void {}
  destroy(): void {
    this.isDestroyed = true;
    setImmediate(() => this.handler?.close(undefined));
  }
  pause(): void {}
  resume(): void {}
}

function onFake(): { readonly below: Below; readonly stream: RecordStream; readonly peer: Sealer } {
  const below = new Below();
  const stream = new RecordStream(below, {
    sealer: new Sealer(suite, secrets[1]),
    opener: new Opener(suite, secrets[0]),
    isServer: true,
    title: "TLS with the peer",
  });
  stream.begin(Buffer.alloc(0), 0);
  return { below, stream, peer: new Sealer(suite, secrets[0]) };
}

function sealed(peer: Sealer, type: number, content: Buffer): Buffer {
  const target = Buffer.alloc(sealedBytes(content.length));
  return target.subarray(0, peer.seal(content, 0, content.length, target, type));
}

test("nothing is delivered after a destroy, though more came with the same read", async () => {
  for (const bytes of [10, 400_000]) {
    const { below, stream, peer } = onFake();
    const calls: string[] = [];
    const closed = Promise.withResolvers<Error | undefined>();
    stream.setHandler({
      data: () => {
        calls.push("data");
        stream.destroy();
      },
      end: () => void calls.push("end"),
      drain: () => void calls.push("drain"),
      close: closed.resolve,
    });
    stream.resume();
    const data = sealed(peer, contentType.applicationData, pattern(0, bytes));
    const end = sealed(peer, contentType.alert, Buffer.of(1, alertCode.closeNotify));
    below.handler?.data(Buffer.concat([data, end]));
    assert.equal(await closed.promise, undefined);
    assert.deepEqual(calls, ["data"]);
    const sent = stream.sentBytes;
    assert.equal(stream.write(Buffer.from("late")), false);
    assert.deepEqual([stream.sentBytes, below.written.length], [sent, 0]);
    peer.free();
  }
});

test("a fault of what follows does not replace the error of a destroy", async () => {
  const { below, stream, peer } = onFake();
  const closed = Promise.withResolvers<Error | undefined>();
  stream.setHandler({ data: () => stream.destroy(), end() {}, drain() {}, close: closed.resolve });
  stream.resume();
  const first = sealed(peer, contentType.applicationData, Buffer.from("a"));
  below.handler?.data(Buffer.concat([first, Buffer.from("no record")]));
  assert.equal(await closed.promise, undefined);
  peer.free();
});

test("writes that wait for the kernel keep no more memory than they need", () => {
  const { below, stream } = onFake();
  below.bufferedBytes = 1;
  for (let count = 0; count < 100; count += 1) stream.write(Buffer.from("x"));
  for (let count = 0; count < 10; count += 1) stream.write(Buffer.alloc(3000));
  const kept = new Set(below.written.map(({ buffer }) => buffer));
  let bytes = 0;
  for (const { byteLength } of kept) bytes += byteLength;
  assert.ok(bytes < 200_000, `${bytes} bytes are kept for 30 kB`);
  stream.destroy();
});

/** A server with TLS 1.2, whose client is behind a proxy. The proxy reads from the server when the test asks it to. */
async function oldServer(): Promise<{
  readonly stream: SecureStream;
  readonly peer: TLSSocket;
  readonly fromServer: Buffer[];
  readonly isEnded: () => boolean;
  readonly read: (reads: boolean) => void;
  readonly close: () => void;
}> {
  const context = TlsContext.create({ ...issued, maxVersion: "TLSv1.2" });
  const accepted = Promise.withResolvers<SecureStream>();
  const listener = await listenTcp({ address: "127.0.0.1", port: 0 }, (raw) => {
    const options = { alpn: ["h2"], timeoutMs: 5000, clientCertificate: "require", ownRecords: true } as const;
    secureServer(raw, () => context, options).then(accepted.resolve, accepted.reject);
  });
  const fromServer: Buffer[] = [];
  let isEnded = false;
  let reads = (_reads: boolean): void => undefined;
  const proxy = createPlainServer({ allowHalfOpen: true }, (near) => {
    const far = connectPlain({ port: listener.address.port, host: "127.0.0.1", allowHalfOpen: true });
    for (const socket of [near, far]) socket.on("error", () => undefined);
    near.pipe(far);
    far.on("data", (chunk: Buffer) => {
      fromServer.push(chunk);
      near.write(chunk);
    });
    far.on("end", () => {
      isEnded = true;
      near.end();
    });
    reads = (on) => void (on ? far.resume() : far.pause());
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const { certificateChain: cert, privateKey: key, roots: ca } = issued;
  const peer = connect({
    cert,
    key,
    ca,
    ALPNProtocols: ["h2"],
    checkServerIdentity: () => undefined,
    port: (proxy.address() as AddressInfo).port,
    host: "127.0.0.1",
    allowHalfOpen: true,
  } as ConnectionOptions);
  peer.on("error", () => undefined).resume();
  const close = (): void => {
    peer.destroy();
    listener.close();
    proxy.close();
  };
  return { stream: await accepted.promise, peer, fromServer, isEnded: () => isEnded, read: (on) => reads(on), close };
}

test("with Node's records, our end also ends our side of TCP, and the peer may continue", async () => {
  const { stream, peer, isEnded, close } = await oldServer();
  const near = new Recorder(stream);
  assert.ok(stream.fd >= 0);
  stream.end();
  await until(isEnded);
  peer.end("still here");
  assert.equal((await near.ended).toString(), "still here");
  assert.equal(await near.closed, undefined);
  close();
});

test("with Node's records, a slow peer still gets our end of TLS", async () => {
  const { stream, peer, fromServer, isEnded, read, close } = await oldServer();
  const near = new Recorder(stream);
  read(false);
  peer.end();
  await near.ended;
  stream.write(pattern(0, 12_000_000));
  stream.end();
  await new Promise((resolve) => setTimeout(resolve, 300));
  read(true);
  await until(isEnded);
  const bytes = Buffer.concat(fromServer);
  let last = -1;
  let at = 0;
  for (; at + 5 <= bytes.length; at += 5 + bytes.readUInt16BE(at + 3)) last = bytes[at] ?? -1;
  assert.deepEqual([at, last], [bytes.length, contentType.alert]);
  close();
});

test("an operator can leave the records to Node's TLS, and the log says who protects them", () => {
  assert.equal(chooseRecordLayer("node"), "switched off");
  for (const setting of [undefined, "", "own"]) assert.equal(chooseRecordLayer(setting), "own");
  assert.match(describeRecordLayer("switched off"), /by Node's TLS, because SERIN_TLS_RECORDS is "node"/);
  assert.match(describeRecordLayer("own"), /by serin itself/);
  assert.match(describeRecordLayer("unavailable"), /by Node's TLS, because .*koffi/);
});
