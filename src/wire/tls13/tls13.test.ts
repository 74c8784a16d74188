import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { alertCode, contentType, maxProtectedBytes, PeerAlertError, RecordError, tagBytes } from "./constants.ts";
import { ContentReader, keyUpdateContent } from "./content-reader.ts";
import { labelBlock, putNonce, putRecordHeader, secretOf } from "./key-schedule.ts";
import { maxRecordBytes, RecordSplitter } from "./record-splitter.ts";
import { suiteOf } from "./suites.ts";

function recordOf(body: Uint8Array): Buffer {
  const record = Buffer.alloc(5 + body.length);
  putRecordHeader(record, 0, body.length);
  record.set(body, 5);
  return record;
}

interface Split {
  readonly records: readonly Buffer[];
  readonly kept: number;
  readonly taken: number;
}

function split(bytes: Buffer, cuts: readonly number[], wanted = Infinity): Split {
  const records: Buffer[] = [];
  const memory = {
    taken: 0,
    take: () => ((memory.taken += 1), Buffer.alloc(maxRecordBytes)),
    giveBack: () => void (memory.taken -= 1),
  };
  const splitter = new RecordSplitter(
    { record: (all, at, length) => records.push(Buffer.from(all.subarray(at + 5, at + 5 + length))) < wanted },
    memory,
  );
  let at = 0;
  for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    const end = Math.min(cut, bytes.length);
    if (records.length < wanted) splitter.push(bytes.subarray(at, end));
    at = Math.max(at, end);
  }
  const kept = splitter.keptBytes;
  splitter.stop();
  return { records, kept, taken: memory.taken };
}

const bodies = fc.array(fc.uint8Array({ minLength: tagBytes + 1, maxLength: 300 }), { maxLength: 8 });

test("records are the same however the bytes are cut, and an incomplete one waits", () => {
  fc.assert(
    fc.property(bodies, fc.array(fc.nat(3000)), fc.nat(20), (all, cuts, missing) => {
      const bytes = Buffer.concat(all.map(recordOf));
      const cutOff = bytes.subarray(0, Math.max(0, bytes.length - missing));
      const whole = missing === 0 || all.length === 0 ? all : all.slice(0, -1);
      const { records, kept, taken } = split(cutOff, cuts);
      assert.deepEqual(
        records,
        whole.map((body) => Buffer.from(body)),
      );
      assert.equal(kept, cutOff.length - whole.reduce((sum, body) => sum + 5 + body.length, 0));
      assert.equal(taken, 0);
    }),
  );
});

test("the longest record is passed on, and no record after the last wanted one", () => {
  const longest = recordOf(Buffer.alloc(maxProtectedBytes, 1));
  for (const cuts of [[], [3], [5], [6], [longest.length - 1]]) {
    assert.equal(split(Buffer.concat([longest, longest]), cuts).records.length, 2);
    assert.equal(split(Buffer.concat([longest, longest]), cuts, 1).records.length, 1);
  }
});

test("a record with a wrong type or length is refused as soon as its header is known", () => {
  for (const [header, alert] of [
    [[contentType.handshake, 3, 3, 0, 40], alertCode.unexpectedMessage],
    [[contentType.changeCipherSpec, 3, 3, 0, 1], alertCode.unexpectedMessage],
    [[contentType.alert, 3, 3, 0, 2], alertCode.unexpectedMessage],
    [[contentType.applicationData, 3, 3, 0x41, 1], alertCode.recordOverflow],
    [[contentType.applicationData, 3, 3, 0, tagBytes], alertCode.badRecordMac],
  ] as const)
    for (const cuts of [[], [1], [1, 2, 3, 4]])
      assert.throws(() => split(Buffer.from(header), cuts), { name: "RecordError", alert });
});

type Read = readonly (number | string)[];

function reader(isServer = false): {
  readonly read: (content: readonly number[], ...rest: number[]) => Read;
  readonly content: ContentReader;
} {
  const events: string[] = [];
  const content = new ContentReader(isServer, {
    keyUpdated: (wantsAnswer) => events.push(wantsAnswer ? "answer" : "update"),
  });
  return {
    content,
    read: (bytes, type = contentType.applicationData, padding = 0) => {
      events.length = 0;
      const inner = Buffer.from([9, ...bytes, type, ...Buffer.alloc(padding)]);
      return [content.read(inner, 1, inner.length), ...events];
    },
  };
}

test("application data is read with any padding, and its zeros are not padding", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(255), { maxLength: 40 }), fc.nat(50), (bytes, padding) => {
      assert.deepEqual(reader().read(bytes, contentType.applicationData, padding), [bytes.length]);
    }),
  );
  const { content } = reader();
  assert.throws(() => content.read(Buffer.alloc(20), 0, 20), { alert: alertCode.unexpectedMessage });
  assert.throws(() => content.read(Buffer.alloc(16_386, 23), 0, 16_386), { alert: alertCode.recordOverflow });
  assert.equal(content.read(Buffer.alloc(16_385, 23), 0, 16_385), 16_384);
});

test("close_notify ends the input, user_canceled does nothing, and every other alert is the peer's error", () => {
  const { read, content } = reader();
  assert.deepEqual(read([1, alertCode.userCanceled], contentType.alert), [0]);
  assert.equal(content.hasEnded, false);
  read([1, alertCode.closeNotify], contentType.alert);
  assert.equal(content.hasEnded, true);
  for (const level of [1, 2])
    assert.throws(
      () => reader().read([level, 48], contentType.alert),
      (error) => {
        assert.ok(error instanceof PeerAlertError);
        assert.equal(error.message, "the peer sent the alert unknown_ca");
        return true;
      },
    );
  for (const bytes of [[], [1], [1, 0, 1, 0]])
    assert.throws(() => reader().read(bytes, contentType.alert), { alert: alertCode.unexpectedMessage });
});

test("a KeyUpdate is reported, also in parts, if it is the last message of its record", () => {
  assert.deepEqual(reader().read([...keyUpdateContent], contentType.handshake), [0, "update"]);
  for (const isServer of [true, false])
    for (let cut = 1; cut < 5; cut += 1) {
      const { read } = reader(isServer);
      const message = [24, 0, 0, 1, 1];
      assert.deepEqual(read(message.slice(0, cut), contentType.handshake), [0]);
      assert.deepEqual(read(message.slice(cut), contentType.handshake), [0, "answer"]);
    }
  for (const [bytes, alert] of [
    [[24, 0, 0, 1, 2], alertCode.illegalParameter],
    [[24, 0, 0, 2, 0, 0], alertCode.decodeError],
    [[24, 0, 0, 0], alertCode.decodeError],
    [[24, 0, 0, 1, 0, 24, 0, 0, 1, 0], alertCode.unexpectedMessage],
  ] as const)
    assert.throws(() => reader().read([...bytes], contentType.handshake), { alert });
});

test("a client ignores tickets in any parts, and other handshake messages are refused", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 30 }), { maxLength: 12 }), (sizes) => {
      const { read } = reader();
      let message = [4, 0, 0, 60, ...Buffer.alloc(60, 24)];
      for (const size of sizes) {
        const part = message.slice(0, size);
        if (part.length > 0) assert.deepEqual(read(part, contentType.handshake), [0]);
        message = message.slice(size);
      }
      if (message.length > 0) read(message, contentType.handshake);
      assert.deepEqual(read([1, 2]), [2]);
      assert.deepEqual(read([4, 0, 0, 0, ...keyUpdateContent], contentType.handshake), [0, "update"]);
    }),
  );
  assert.throws(() => reader(true).read([4, 0, 0, 1, 0], contentType.handshake), {
    alert: alertCode.unexpectedMessage,
  });
  // A CertificateRequest, a ClientHello, and an empty record.
  for (const bytes of [[13, 0, 0, 1, 0], [1, 0, 0, 1, 0], []])
    assert.throws(() => reader().read(bytes, contentType.handshake), { alert: alertCode.unexpectedMessage });
  const interrupted = reader();
  interrupted.read([4, 0, 0, 9, 1], contentType.handshake);
  assert.throws(() => interrupted.read([1]), { alert: alertCode.unexpectedMessage });
});

test("a peer that sends records without data ends the connection, unless data pays for them", () => {
  for (const [bytes, type] of [
    [[], contentType.applicationData],
    [[...keyUpdateContent], contentType.handshake],
    [[1, alertCode.userCanceled], contentType.alert],
  ] as const) {
    const { read } = reader();
    // Records with a single byte of data must not allow further records without data.
    for (let count = 0; count < 32; count += 1) {
      read([...bytes], type);
      read([1]);
    }
    assert.throws(
      () => read([...bytes], type),
      (error) => error instanceof RecordError && /no application data/.test(error.message),
    );
    const paid = reader();
    const data = [...Buffer.alloc(16_384, 7)];
    for (let count = 0; count < 200; count += 1) {
      paid.read([...bytes], type);
      paid.read(data);
    }
  }
});

test("a nonce is the record's number combined with the key's nonce", () => {
  const iv = Buffer.from("5d313eb2671276ee13000b30", "hex");
  const nonce = Buffer.alloc(12);
  const at = (sequence: number): string => (putNonce(nonce, 0, iv, sequence), nonce.toString("hex"));
  assert.deepEqual(
    [at(0), at(1), at(0x1_0000_0000), at(Number.MAX_SAFE_INTEGER)],
    ["5d313eb2671276ee13000b30", "5d313eb2671276ee13000b31", "5d313eb2671276ef13000b30", "5d313eb2670d8911ecfff4cf"],
  );
});

test("a label has the form of HKDF-Expand-Label", () => {
  assert.equal(labelBlock("key", 16).toString("hex"), `001009${Buffer.from("tls13 key").toString("hex")}0001`);
});

test("a secret is read from its line of a key log only, and anything else is no secret", () => {
  const random = "ab".repeat(32);
  const line = Buffer.from(`SERVER_TRAFFIC_SECRET_0 ${random} 00ffAb10\n`);
  assert.equal(secretOf(line, "SERVER_TRAFFIC_SECRET_0")?.toString("hex"), "00ffab10");
  assert.equal(secretOf(line, "CLIENT_TRAFFIC_SECRET_0"), undefined);
  for (const text of [
    "",
    "SERVER_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0 ",
    `SERVER_TRAFFIC_SECRET_0 ${random} 0x10`,
    `SERVER_TRAFFIC_SECRET_0 ${random} abc`,
  ])
    assert.equal(secretOf(Buffer.from(text), "SERVER_TRAFFIC_SECRET_0"), undefined, text);
});

test("only the suites of TLS 1.3 are known", () => {
  assert.deepEqual(suiteOf("TLS_AES_256_GCM_SHA384"), { hash: "sha384", cipher: "aes-256-gcm", keyBytes: 32 });
  assert.deepEqual([suiteOf("ECDHE-RSA-AES128-GCM-SHA256"), suiteOf("toString")], [undefined, undefined]);
});
