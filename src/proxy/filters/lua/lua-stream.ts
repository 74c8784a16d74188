import { createPublicKey, verify } from "node:crypto";
import { transientError, type Clock, type Logger } from "../../../base/index.ts";
import { addressText } from "../../terms/address-text.ts";
import type { CallCluster, ClusterAnswer } from "../../terms/call-cluster.ts";
import type { LocalReply } from "../http-filter.ts";
import { utf8HeadText } from "../../terms/header-text.ts";
import { responseFlags } from "../../terms/response-flags.ts";
import { parseAuthority } from "../../../wire/hbone/index.ts";
import type { ScriptFields, ScriptMessage } from "./lua-message.ts";
import { bodyOf, callOf, checkField, replyFields, shown } from "./script-call.ts";
import type { UnawaitedCalls } from "./unawaited-calls.ts";
import type { LuaWait } from "./lua-interpreter.ts";
import { logLine } from "./lua-library.ts";
import { jsonOfLua, luaOfJson, sizeOf, textOf, type LuaTable, type LuaValue } from "./lua-value.ts";

/** The status of the response to a request if its script demands an endpoint that cannot be used. */
const statusWithoutEndpoint = 503;

export interface LuaServices {
  readonly clock: Clock;
  readonly callCluster: CallCluster;
  readonly log: Logger;
}

export interface LuaContext {
  readonly filter: string;
  readonly filterContext: unknown;
  readonly services: LuaServices;
  /** Aborted when the client has gone. */
  readonly signal: () => AbortSignal;
}

type Results = readonly LuaValue[];

/** The characters of all fields and metadata that one run of a script may write. */
const maxWrittenCharacters = 1024 * 1024;
const luaName = "envoy.filters.http.lua";
const logMethods = ["trace", "debug", "info", "warn", "error", "error"] as const;
const hashes: ReadonlySet<string> = new Set(["sha1", "sha224", "sha256", "sha384", "sha512"]);

export class LuaStream {
  readonly #message: ScriptMessage;
  readonly #context: LuaContext;
  readonly #calls: UnawaitedCalls;
  #written = 0;
  /** The body for the script. Undefined until the script requests it. */
  #body: Buffer | undefined;
  #trailers: ScriptFields | undefined;
  reply: LocalReply | undefined;

  constructor(message: ScriptMessage, context: LuaContext, calls: UnawaitedCalls) {
    this.#message = message;
    this.#context = context;
    this.#calls = calls;
  }

  /** Handles an operation without a wait. If it throws, the message becomes the script's error. */
  answer(operation: string, given: Results): Results {
    if (operation.startsWith("header")) return this.#header(operation, given);
    const first = given[0];
    switch (operation) {
      case "bodyLength":
        return [this.#body?.length ?? 0];
      case "bodyBytes":
        return [this.#bytes(Number(first), Number(given[1]))];
      case "bodySet":
        this.#body = bodyOf(first);
        this.#message.setBody(this.#body);
        return [this.#body.length];
      case "info":
        return [this.#info(textOf(first))];
      case "map":
        return [this.#map(textOf(first))];
      case "dynamicSet":
        this.#setMetadata(textOf(first), textOf(given[1]), given[2]);
        return [];
      case "log":
        this.#context.services.log[logMethods[Number(first) - 1] ?? "info"](logLine(shown(given[1])));
        return [];
      case "clearRoute":
        this.#message.request.clearRoute();
        return [];
      case "prefer":
        this.#prefer(textOf(first), given[1] === true);
        return [];
      case "verify":
        return verifySignature(given);
      case "base64":
        return [Buffer.from(textOf(first), "latin1").toString("base64")];
      case "timestamp":
        return [Math.round(this.#context.services.clock.nowMs())];
      case "timestampString":
        return [String(Math.round(this.#context.services.clock.nowMs() * (first === 1 ? 1000 : 1)))];
      default:
        return this.#check(operation, given);
    }
  }

  /** Handles an operation with a wait. If it rejects, the message becomes the script's error. */
  async wait(operation: LuaWait, given: Results): Promise<Results> {
    switch (operation) {
      case "body":
        return [await this.#isWhole()];
      case "trailers":
        await this.#isWhole();
        this.#trailers = this.#message.trailers();
        return [this.#trailers !== undefined];
      case "call":
        return await this.#call(given);
      case "respond":
        this.#respond(given);
        return [];
    }
  }

  #prefer(endpoint: string, strict: boolean): void {
    if (this.#message.kind !== "request") throw new Error("setUpstreamOverrideHost is only for requests");
    if (parseAuthority(endpoint)?.isAddress !== true) throw new Error("host is not a valid IP address");
    this.#message.request.prefer({
      name: endpoint,
      statusWithoutIt: strict ? statusWithoutEndpoint : undefined,
    });
  }

  async #isWhole(): Promise<boolean> {
    if (this.#body !== undefined) return true;
    const body = await this.#message.body();
    if (body !== "too long") {
      this.#body = body;
      return body !== undefined;
    }
    // Envoy responds the same way if a body does not fit into its buffers.
    const request = this.#message.kind === "request";
    this.reply = {
      status: request ? 413 : 500,
      body: request ? "Payload Too Large" : "Internal Server Error",
      headers: [],
      flag: responseFlags.none,
      details: `${this.#message.kind}_payload_too_large`,
    };
    return false;
  }

  #bytes(index: number, length: number): string {
    const body = this.#body ?? Buffer.alloc(0);
    if (!(index >= 0) || !(length >= 0) || index + length > body.length)
      throw new Error("index/length must be >= 0 and (index + length) must be <= buffer size");
    return body.toString("latin1", Math.trunc(index), Math.trunc(index) + Math.trunc(length));
  }

  #header(operation: string, given: Results): Results {
    const fields = given[0] === "trailers" ? this.#trailers : this.#message.fields;
    if (fields === undefined) throw new Error("there are no trailers");
    const name = textOf(given[1]).toLowerCase();
    if (operation === "headerList")
      return [
        new Map(fields.list().map(([key, value], at) => [at + 1, new Map([[1, key] as const, [2, value] as const])])),
      ];
    const values = fields.values(name);
    const value = textOf(given[2]);
    switch (operation) {
      case "header":
        return [values.length === 0 ? undefined : values.join(",")];
      case "headerAt": {
        const found = values[Math.trunc(Number(given[2]))];
        return [found === "" ? undefined : found];
      }
      case "headerCount":
        return [values.length];
      case "headerRemove":
        if (values.length > 0) fields.set(name, []);
        return [];
      default:
        checkField(name, value);
        this.#write(name.length + value.length);
        fields.set(name, operation === "headerAdd" && !name.startsWith(":") ? [...values, value] : [value]);
        return [];
    }
  }

  #info(name: string): LuaValue {
    const { request } = this.#message;
    const { connection } = request;
    const { tls } = connection;
    switch (name) {
      case "protocol":
        return request.protocol;
      case "routeName":
        return utf8HeadText(request.route?.name ?? "");
      case "downstreamLocalAddress":
      case "downstreamDirectLocalAddress":
        return addressText(connection.local);
      case "downstreamRemoteAddress":
        return request.clientAddress === connection.remote.address
          ? addressText(connection.remote)
          : addressText({ address: request.clientAddress, port: 0 });
      case "downstreamDirectRemoteAddress":
        return addressText(connection.directRemote ?? connection.remote);
      case "requestedServerName":
        return connection.serverName ?? tls?.serverName ?? "";
      case "secure":
        return tls !== undefined;
      case "peerCertificatePresented":
        return tls !== undefined && tls.peerCertificateHash() !== "";
      case "peerCertificateValidated":
        return tls?.verified ?? false;
      case "uriSanLocalCertificate":
        return listOf(tls?.localIdentity);
      case "uriSanPeerCertificate":
        return listOf(...(tls?.peerUris() ?? []));
      case "dnsSansPeerCertificate":
        return listOf(...(tls?.peerDnsNames() ?? []));
      case "sha256PeerCertificateDigest":
        return tls?.peerCertificateHash() ?? "";
      case "subjectPeerCertificate":
        return utf8HeadText(tls?.peerSubject() ?? "");
      case "urlEncodedPemEncodedPeerCertificate":
        return encodeURIComponent(tls?.peerCertificate() ?? "");
      case "commonName":
        return subjectParts(tls?.peerSubject(), "CN")[0] ?? "";
      case "organizationName":
        return listOf(...subjectParts(tls?.peerSubject(), "O"));
      default:
        return "";
    }
  }

  #map(which: string): LuaTable {
    const { request } = this.#message;
    const route = request.route;
    const { filter, filterContext } = this.#context;
    const metadataTable = (metadata: Readonly<Record<string, unknown>> | undefined): LuaTable =>
      tableOf(metadata?.[filter] ?? metadata?.[luaName]);
    switch (which) {
      case "metadata":
      case "routeMetadata":
        return metadataTable(route?.metadata);
      case "virtualHostMetadata":
        return metadataTable(route?.hostMetadata);
      case "filterContext":
        return tableOf(filterContext);
      default:
        return tableOf(request.metadata);
    }
  }

  /** Counts the characters that the script writes, because the message keeps them until its end. */
  #write(characters: number): void {
    this.#written += characters;
    if (this.#written > maxWrittenCharacters)
      throw new Error(`a script may write ${maxWrittenCharacters} characters of headers and metadata`);
  }

  #setMetadata(filter: string, key: string, value: LuaValue): void {
    const { metadata } = this.#message.request;
    this.#write(filter.length + key.length + sizeOf(value));
    const name = String(jsonOfLua(filter));
    const before = metadata.get(name);
    metadata.set(name, {
      ...(typeof before === "object" && before !== null ? before : {}),
      [String(jsonOfLua(key))]: jsonOfLua(value),
    });
  }

  #check(operation: string, given: Results): Results {
    if (operation === "respondCheck") {
      if (this.#message.kind === "response") throw new Error("respond not currently supported in the response path");
      replyFields(given[0]);
      return [];
    }
    if (operation === "callCheck") {
      callOf(given, this.#message);
      return [];
    }
    if (operation !== "callAsync") throw new Error(`${operation} is not supported`);
    this.#calls.start(callOf(given, this.#message), this.#context.services);
    return [];
  }

  #respond([headers, body]: Results): void {
    const { status, fields } = replyFields(headers);
    this.reply = {
      status,
      body: bodyOf(body),
      headers: fields,
      flag: responseFlags.none,
      details: "lua_response",
    };
  }

  async #call(given: Results): Promise<Results> {
    const { services, signal } = this.#context;
    const options = given[3] as LuaTable;
    let answer: ClusterAnswer;
    try {
      answer = await services.callCluster(callOf(given, this.#message), signal());
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "no-cluster")
        throw new Error("http call cluster invalid. Must be configured", { cause: error });
      answer = { status: 503, headers: [], body: Buffer.from("upstream failure") };
    }
    const headers = new Map<string, LuaValue>([[":status", String(answer.status)]]);
    for (const [name, value] of answer.headers) {
      const before = headers.get(name);
      if (options.get("return_duplicate_headers") !== true || before === undefined) headers.set(name, value);
      else {
        const list: LuaTable = before instanceof Map ? (before as LuaTable) : listOf(textOf(before));
        headers.set(name, new Map([...list, [list.size + 1, value]]));
      }
    }
    return [headers, answer.body.length === 0 ? undefined : answer.body.toString("latin1")];
  }
}

function verifySignature([hash, key, signature, data]: Results): Results {
  const algorithm = textOf(hash).toLowerCase();
  if (!hashes.has(algorithm)) return [false, `${textOf(hash)} is not supported.`];
  try {
    const bytes = (value: LuaValue): Buffer => Buffer.from(textOf(value), "latin1");
    const publicKey = createPublicKey({ key: bytes(key), format: "der", type: "spki" });
    return verify(algorithm, bytes(data), publicKey, bytes(signature))
      ? [true, ""]
      : [false, "Failed to verify digest. Error code: 0"];
  } catch {
    return [false, "Failed to initialize digest verify."];
  }
}

function tableOf(value: unknown): LuaTable {
  const table = luaOfJson(value);
  return table instanceof Map ? (table as LuaTable) : new Map();
}

function listOf(...texts: readonly (string | undefined)[]): LuaTable {
  const present = texts.filter((text) => text !== undefined && text !== "");
  return new Map(present.map((text, index) => [index + 1, utf8HeadText(text ?? "")]));
}

function subjectParts(subject: string | undefined, kind: string): string[] {
  return (subject ?? "")
    .split(",")
    .filter((part) => part.startsWith(`${kind}=`))
    .map((part) => utf8HeadText(part.slice(kind.length + 1)));
}

/** The error of a script that uses a stream after its request has ended. */
export function outOfScope(): Error {
  return transientError("lua-failed", "object used outside of proper scope");
}
