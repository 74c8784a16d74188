import { ChunkedScanner, type MessageHead } from "../../wire/http1/index.ts";
import type { GrpcWebForm } from "../filters/http-filter.ts";
import type { HeaderEdits } from "../routing/header-mutation.ts";
import type { LocalReply } from "./messages/compose-response.ts";
import { grpcFrame, isGrpcContentType } from "../terms/grpc-call.ts";

const noBytes = Buffer.alloc(0);
const trailersFlag = 0x80;
const base64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Converts a gRPC-Web request to gRPC, and the gRPC response back. Other responses stay unchanged. */
export class GrpcWebTranslation {
  readonly #form: GrpcWebForm;
  readonly #chunked: ChunkedScanner | undefined;
  #rest = "";
  /** Whether the upstream's response is gRPC. */
  #translates = false;

  /** `chunked` says whether the request's body has the chunked framing of HTTP/1.1. */
  constructor(form: GrpcWebForm, chunked: boolean) {
    this.#form = form;
    this.#chunked = chunked && form.requestIsText ? new ChunkedScanner() : undefined;
  }

  /** Whether request bodies are converted. Only bodies of `application/grpc-web-text` are. */
  get changesRequest(): boolean {
    return this.#form.requestIsText;
  }

  get translatesAnswer(): boolean {
    return this.#translates;
  }

  get contentType(): string {
    return this.#form.answerIsText ? "application/grpc-web-text+proto" : "application/grpc-web+proto";
  }

  /** Decodes a part of a request's base64 text. Returns undefined if it is not base64. */
  request(bytes: Buffer, from: number, to: number, complete: boolean): Buffer | undefined {
    let text = this.#rest;
    if (this.#chunked === undefined) text += bytes.toString("latin1", from, to);
    else {
      this.#chunked.scan(bytes, from, to, (start, end) => {
        text += bytes.toString("latin1", start, end);
      });
    }
    const whole = text.length - (text.length % 4);
    this.#rest = text.slice(whole);
    if (complete && this.#rest !== "") return undefined;
    return decode(text.slice(0, whole));
  }

  /** Notes whether the response is gRPC. Returns the changes to its head. */
  answer(head: MessageHead, edits: HeaderEdits | undefined, endsHere: boolean): HeaderEdits | undefined {
    this.#translates = isGrpcContentType(head.get("content-type") ?? "");
    if (!this.#translates) return edits;
    const dropped = new Set([...(edits?.dropped ?? []), "content-type"]);
    // Drop the length only if a body follows. A head that is the whole response can keep it.
    if (!endsHere) dropped.add("content-length");
    return {
      dropped,
      added: [...(edits?.added ?? []).filter(([name]) => name !== "content-type"), ["content-type", this.contentType]],
    };
  }

  /**
   * Converts the proxy's own gRPC reply, which consists of a head only. gRPC-Web clients accept this form, with their
   * own content type.
   */
  localReply(reply: LocalReply): LocalReply {
    const fields = reply.fields.map(
      ([name, value]) => [name, name === "content-type" ? this.contentType : value] as const,
    );
    return { ...reply, fields };
  }

  answerBody(bytes: Buffer, from: number, to: number): Buffer {
    return this.#encoded(bytes.subarray(from, to));
  }

  /** The frame that carries trailers to the client (names and values, alternating). */
  answerTrailers(fields: readonly string[]): Buffer {
    let text = "";
    for (let at = 0; at < fields.length; at += 2) text += `${fields[at] ?? ""}: ${fields[at + 1] ?? ""}\r\n`;
    return this.#encoded(grpcFrame(Buffer.from(text, "latin1"), trailersFlag));
  }

  /** Encodes each part by itself, with its own padding, as clients expect it. */
  #encoded(bytes: Buffer): Buffer {
    if (!this.#form.answerIsText) return bytes;
    return bytes.length === 0 ? noBytes : Buffer.from(bytes.toString("base64"), "latin1");
  }
}

/**
 * Decodes base64 in whole groups of four characters. Several texts may follow each other, each with its own padding.
 */
function decode(text: string): Buffer | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; at < text.length;) {
    const padding = text.indexOf("=", at);
    const end = padding < 0 ? text.length : padding - (padding % 4) + 4;
    const part = text.slice(at, end);
    if (!base64.test(part)) return undefined;
    parts.push(Buffer.from(part, "base64"));
    at = end;
  }
  return Buffer.concat(parts);
}
