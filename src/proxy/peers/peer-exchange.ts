import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema, StructSchema } from "@bufbuild/protobuf/wkt";
import { peek, unread, type ByteStream } from "../../net/index.ts";
import {
  noLabelNames,
  peerMetadataHeader,
  peerMetadataIdHeader,
  structOfPeerMetadata,
  workloadOfStruct,
  type OwnMetadata,
} from "./peer-metadata.ts";
import type { WorkloadLabels } from "../terms/workload-labels.ts";

/** The ALPN name of the protocol in which each side sends its metadata before its first byte of data. */
export const peerExchangeProtocol = "istio-peer-exchange";

const magic = 0x3d230467;
/** The length of the head: a magic number and the length of the body, four bytes each, most significant byte first. */
const headBytes = 8;
const maxBodyBytes = 64 * 1024;
const structType = "type.googleapis.com/google.protobuf.Struct";

/**
 * Encodes a side's first message: an Any that contains a Struct with the node's metadata and id, under the names of the
 * HTTP headers.
 */
export function encodePeerExchange(own: OwnMetadata): Buffer {
  const struct = create(StructSchema, {
    fields: {
      [peerMetadataHeader]: { kind: { case: "structValue", value: structOfPeerMetadata(own.value) } },
      [peerMetadataIdHeader]: { kind: { case: "stringValue", value: own.id } },
    },
  });
  const body = toBinary(AnySchema, create(AnySchema, { typeUrl: structType, value: toBinary(StructSchema, struct) }));
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(magic, 0);
  head.writeUInt32BE(body.length, 4);
  return Buffer.concat([head, body]);
}

export interface ExchangedPeer {
  /** The stream after the exchange, which is paused. */
  readonly stream: ByteStream;
  /** The peer's labels. Undefined if the peer sent none that can be read. */
  readonly peer: WorkloadLabels | undefined;
}

/**
 * Exchanges metadata on a paused stream whose two ends have agreed to this: sends ours, and reads the peer's with these
 * further labels. A peer that sends something else, or nothing in time, is served without metadata. Returns undefined
 * if the connection ended meanwhile. Rejects if it failed.
 */
export async function exchangePeers(
  stream: ByteStream,
  own: Buffer,
  timeoutMs: number,
  labelNames: readonly string[] = noLabelNames,
): Promise<ExchangedPeer | undefined> {
  stream.write(own);
  const { bytes, outcome, error } = await peek(stream, {
    enough: isWhole,
    maxBytes: headBytes + maxBodyBytes,
    timeoutMs,
  });
  if (error !== undefined) throw error;
  if (outcome === "ended") {
    stream.destroy();
    return undefined;
  }
  const length = bodyLength(bytes);
  if (length === undefined || bytes.length < headBytes + length)
    return { stream: unread(stream, bytes), peer: undefined };
  return {
    stream: unread(stream, bytes.subarray(headBytes + length)),
    peer: decodeBody(bytes.subarray(headBytes, headBytes + length), labelNames),
  };
}

function isWhole(bytes: Buffer): boolean {
  if (bytes.length < headBytes) return bytes.length >= 4 && bytes.readUInt32BE(0) !== magic;
  const length = bodyLength(bytes);
  return length === undefined || bytes.length >= headBytes + length;
}

/** Reads the length of the body from the head. Returns undefined if the head is not of this protocol. */
function bodyLength(bytes: Buffer): number | undefined {
  if (bytes.length < headBytes || bytes.readUInt32BE(0) !== magic) return undefined;
  const length = bytes.readUInt32BE(4);
  return length > maxBodyBytes ? undefined : length;
}

function decodeBody(body: Buffer, labelNames: readonly string[]): WorkloadLabels | undefined {
  try {
    const { fields } = fromBinary(StructSchema, fromBinary(AnySchema, body).value);
    const metadata = fields[peerMetadataHeader]?.kind;
    return metadata?.case === "structValue" ? workloadOfStruct(metadata.value, labelNames) : undefined;
  } catch {
    // A value of another type names no workload.
    return undefined;
  }
}
