import { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { userError } from "../../base/index.ts";
import { parseListenerRoles, type ZdsHello, type ZdsRequest, type ZdsResponse, type ZdsWorkload } from "./messages.ts";

type Fields = (field: number, reader: BinaryReader) => boolean;

const listenersField = 100;
const addHandedOverField = 101;

/** Reads the fields of a message. Fields for which `take` returns false are skipped. */
function read(noun: string, bytes: Uint8Array, take: Fields): void {
  try {
    const reader = new BinaryReader(bytes);
    while (reader.pos < reader.len) {
      const [field, wireType] = reader.tag();
      const start = reader.pos;
      if (!take(field, reader)) {
        reader.pos = start;
        reader.skip(wireType, field);
      }
    }
  } catch (error) {
    if (error instanceof Error && error.name === "SerinError") throw error;
    throw userError(
      "zds-invalid",
      `a ${noun} cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

function writeString(writer: BinaryWriter, field: number, value: string): void {
  if (value !== "") writer.tag(field, WireType.LengthDelimited).string(value);
}

function writeBoolean(writer: BinaryWriter, field: number, value: boolean): void {
  if (value) writer.tag(field, WireType.Varint).bool(true);
}

function writeMessage(writer: BinaryWriter, field: number, fill: (inner: BinaryWriter) => void): void {
  const inner = new BinaryWriter();
  fill(inner);
  writer.tag(field, WireType.LengthDelimited).bytes(inner.finish());
}

function finish(writer: BinaryWriter): Buffer {
  const bytes = writer.finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function writeListeners(writer: BinaryWriter, roles: readonly string[]): void {
  for (const role of roles) writeMessage(writer, listenersField, (inner) => writeString(inner, 1, role));
}

function readListener(bytes: Uint8Array): string {
  let role = "";
  read("Listener", bytes, (field, reader) => {
    if (field === 1) role = reader.string();
    return field === 1;
  });
  return role;
}

export function encodeZdsHello(hello: ZdsHello): Buffer {
  const writer = new BinaryWriter();
  if (hello.version !== 0) writer.tag(1, WireType.Varint).int32(hello.version);
  writeString(writer, 100, hello.revision);
  writeBoolean(writer, 101, hello.acceptsListeners);
  return finish(writer);
}

/** Decodes a ztunnel's first message. Throws a user error if it is malformed. */
export function decodeZdsHello(bytes: Uint8Array): ZdsHello {
  let version = 0;
  let revision = "";
  let acceptsListeners = false;
  read("ZdsHello", bytes, (field, reader) => {
    if (field === 1) version = reader.int32();
    else if (field === 100) revision = reader.string();
    else if (field === 101) acceptsListeners = reader.bool();
    else return false;
    return true;
  });
  return { version, revision, acceptsListeners };
}

function writeWorkload(writer: BinaryWriter, workload: ZdsWorkload): void {
  writeString(writer, 1, workload.name);
  writeString(writer, 2, workload.namespace);
  writeString(writer, 3, workload.serviceAccount);
}

const requestFields = { add: 1, delete: 2, "snapshot-sent": 3, keep: 5 } as const;

/** Encodes a request of the CNI agent. The descriptors are sent beside it. */
export function encodeZdsRequest(request: ZdsRequest): Buffer {
  const writer = new BinaryWriter();
  writeMessage(writer, requestFields[request.type], (inner) => {
    switch (request.type) {
      case "add":
        writeString(inner, 1, request.uid);
        writeMessage(inner, 2, (info) => writeWorkload(info, request.workload));
        writeListeners(inner, request.listeners);
        return writeBoolean(inner, addHandedOverField, request.handedOver);
      case "keep":
        writeString(inner, 1, request.uid);
        return writeBoolean(inner, 100, request.returnListeners);
      case "delete":
        writeString(inner, 2, request.uid);
        return writeBoolean(inner, 100, request.handedOver);
      case "snapshot-sent":
        return undefined;
      default:
        return request satisfies never;
    }
  });
  return finish(writer);
}

/** Decodes a request of the CNI agent. Throws a user error if it is malformed or unknown. */
export function decodeZdsRequest(bytes: Uint8Array): ZdsRequest {
  let request: ZdsRequest | undefined;
  read("WorkloadRequest", bytes, (field, reader) => {
    if (field === requestFields.add) request = decodeAdd(reader.bytes());
    else if (field === requestFields.delete) request = decodeDelete(reader.bytes());
    else if (field === requestFields["snapshot-sent"]) {
      reader.bytes();
      request = { type: "snapshot-sent" };
    } else if (field === requestFields.keep) request = decodeKeep(reader.bytes());
    else return false;
    return true;
  });
  if (request === undefined) throw userError("zds-invalid", "a WorkloadRequest has an unknown payload");
  return request;
}

function decodeAdd(bytes: Uint8Array): ZdsRequest {
  let uid = "";
  let workload: ZdsWorkload = { name: "", namespace: "", serviceAccount: "" };
  const listeners: string[] = [];
  let handedOver = false;
  read("AddWorkload", bytes, (field, reader) => {
    if (field === 1) uid = reader.string();
    else if (field === 2) workload = decodeWorkload(reader.bytes());
    else if (field === listenersField) listeners.push(readListener(reader.bytes()));
    else if (field === addHandedOverField) handedOver = reader.bool();
    else return false;
    return true;
  });
  return { type: "add", uid, workload, listeners: parseListenerRoles(listeners), handedOver };
}

function decodeWorkload(bytes: Uint8Array): ZdsWorkload {
  const found = ["", "", ""];
  read("WorkloadInfo", bytes, (field, reader) => {
    if (field < 1 || field > 3) return false;
    found[field - 1] = reader.string();
    return true;
  });
  const [name = "", namespace = "", serviceAccount = ""] = found;
  return { name, namespace, serviceAccount };
}

function decodeKeep(bytes: Uint8Array): ZdsRequest {
  let uid = "";
  let returnListeners = false;
  read("KeepWorkload", bytes, (field, reader) => {
    if (field === 1) uid = reader.string();
    else if (field === 100) returnListeners = reader.bool();
    else return false;
    return true;
  });
  return { type: "keep", uid, returnListeners };
}

function decodeDelete(bytes: Uint8Array): ZdsRequest {
  let uid = "";
  let handedOver = false;
  read("DelWorkload", bytes, (field, reader) => {
    if (field === 2) uid = reader.string();
    else if (field === 100) handedOver = reader.bool();
    else return false;
    return true;
  });
  return { type: "delete", uid, handedOver };
}

export function encodeZdsResponse(response: ZdsResponse): Buffer {
  const writer = new BinaryWriter();
  writeMessage(writer, 1, (ack) => {
    writeString(ack, 1, response.error);
    writeListeners(ack, response.listeners);
  });
  return finish(writer);
}

/** Decodes a ztunnel's answer to a request. Throws a user error if it is malformed. */
export function decodeZdsResponse(bytes: Uint8Array): ZdsResponse {
  let error = "";
  const listeners: string[] = [];
  const takeAck: Fields = (field, reader) => {
    if (field === 1) error = reader.string();
    else if (field === listenersField) listeners.push(readListener(reader.bytes()));
    else return false;
    return true;
  };
  read("WorkloadResponse", bytes, (field, reader) => {
    if (field !== 1) return false;
    read("Ack", reader.bytes(), takeAck);
    return true;
  });
  return { error, listeners: parseListenerRoles(listeners) };
}
