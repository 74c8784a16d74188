import {
  ContentReader,
  contentType,
  maxRecordBytes,
  PeerAlertError,
  putRecordHeader,
  RecordError,
  recordHeaderBytes,
  RecordSplitter,
  secretOf,
  tagBytes,
} from "../../../src/wire/tls13/index.ts";
import { expect, expectRefusal, type FuzzTarget } from "../target.ts";

/** Returns a record with readable content, and zeros as its tag. */
function recordOf(type: number, content: readonly number[], padding = 0): Buffer {
  const length = content.length + 1 + padding + tagBytes;
  const record = Buffer.alloc(recordHeaderBytes + length);
  putRecordHeader(record, 0, length);
  Buffer.from([...content, type]).copy(record, recordHeaderBytes);
  return record;
}

/** Describes what a connection reads from the bytes if they come in pieces of this size. */
function read(bytes: Buffer, isServer: boolean, pieceBytes: number): string {
  const events: string[] = [];
  const content = new ContentReader(isServer, { keyUpdated: (wantsAnswer) => events.push(`key ${wantsAnswer}`) });
  let taken = 0;
  const memory = {
    take: () => {
      taken += 1;
      return Buffer.alloc(maxRecordBytes);
    },
    giveBack: () => void (taken -= 1),
  };
  const record = (all: Buffer, at: number, length: number): boolean => {
    const start = at + recordHeaderBytes;
    const data = content.read(all, start, start + length - tagBytes);
    expect(data >= 0 && data < length - tagBytes, "application data lies in its record");
    events.push(all.toString("hex", start, start + data));
    return !content.hasEnded;
  };
  const splitter = new RecordSplitter({ record }, memory);
  try {
    for (let at = 0; at < bytes.length && !content.hasEnded; at += pieceBytes) {
      splitter.push(bytes.subarray(at, at + pieceBytes));
      expect(splitter.keptBytes < maxRecordBytes, "at most one incomplete record is kept");
    }
  } catch (error) {
    expectRefusal(error, RecordError, PeerAlertError);
    events.push((error as Error).message);
  }
  splitter.stop();
  expect(taken === 0, "memory is given back");
  return events.join("\n");
}

const random = "ab".repeat(32);

export const target: FuzzTarget = {
  title: "TLS records: what follows a handshake, once it is opened",
  seeds: [
    Buffer.concat([
      recordOf(contentType.handshake, [4, 0, 0, 2, 9, 9, 24, 0, 0, 1, 1]),
      recordOf(contentType.applicationData, [1, 2, 0], 3),
      recordOf(contentType.alert, [1, 90]),
      recordOf(contentType.alert, [1, 0]),
    ]),
    Buffer.concat([recordOf(contentType.handshake, [4, 0, 0, 9, 1]), recordOf(contentType.handshake, [24, 0, 0, 1])]),
    Buffer.concat([recordOf(contentType.applicationData, []), recordOf(contentType.alert, [2, 48])]),
    // A record that comes in pieces, and is refused.
    Buffer.from("170303001c04000009010116000000000000000000017031701020000000000000000".padEnd(70, "0"), "hex"),
    `SERVER_TRAFFIC_SECRET_0 ${random} ${random}\n`,
  ],
  run: (bytes) => {
    for (const isServer of [true, false]) {
      const whole = read(bytes, isServer, bytes.length);
      for (const pieceBytes of [1, 7]) expect(read(bytes, isServer, pieceBytes) === whole, "pieces change nothing");
    }
    const secret = secretOf(bytes, "SERVER_TRAFFIC_SECRET_0");
    if (secret !== undefined)
      expect(bytes.toString("latin1").toLowerCase().includes(secret.toString("hex")), "a secret stands in its line");
  },
};
