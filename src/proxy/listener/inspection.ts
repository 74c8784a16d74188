import { peek, type ByteStream, type SocketAddress } from "../../net/index.ts";
import type { InspectorSpec } from "../config/listener-config.ts";
import { maxClientHelloBytes, parseClientHello, type ClientHello } from "./client-hello.ts";
import { detectHttp, maxPrefaceBytes, type HttpPreface } from "./http-preface.ts";
import { parseProxyHeader, type ProxyHeader } from "./proxy-protocol.ts";

/** What the first bytes of a connection told. */
export interface Inspection {
  /** All bytes that were read, without a PROXY header; the connection goes on with them. */
  readonly bytes: Buffer;
  readonly hello: ClientHello;
  readonly preface: HttpPreface;
  readonly proxied: { readonly remote: SocketAddress | undefined; readonly local: SocketAddress | undefined } | undefined;
  /** `timeout`: what is known by then; `ended`: the client left. */
  readonly outcome: "done" | "timeout" | "ended";
}

/** What is to be looked for. */
export interface InspectionPlan {
  readonly proxyHeader: boolean;
  readonly tls: boolean;
  readonly http: boolean;
  readonly timeoutMs: number;
}

const nothingSeen: ClientHello = { kind: "not-tls" };

export const noInspection: Inspection = { bytes: Buffer.alloc(0), hello: nothingSeen, preface: "none", proxied: undefined, outcome: "done" };

export function inspectionPlan(inspectors: readonly InspectorSpec[], destinationPort: number, timeoutMs: number): InspectionPlan | undefined {
  const wants = (kind: InspectorSpec["kind"]): boolean => inspectors.some((inspector) => inspector.kind === kind && inspector.enabled(destinationPort));
  const plan = { proxyHeader: wants("proxy-protocol"), tls: wants("tls"), http: wants("http"), timeoutMs };
  return plan.proxyHeader || plan.tls || plan.http ? plan : undefined;
}

/** Reads as much of a paused stream as the plan needs, and pauses it again. */
export async function inspect(stream: ByteStream, plan: InspectionPlan): Promise<Inspection> {
  const look = new Look(plan);
  const { bytes, outcome } = await peek(stream, {
    enough: (seen) => look.at(seen),
    maxBytes: plan.http ? maxPrefaceBytes : maxClientHelloBytes,
    timeoutMs: plan.timeoutMs,
  });
  const header = look.header;
  return {
    bytes: header?.kind === "header" ? bytes.subarray(header.length) : bytes,
    hello: look.hello,
    preface: look.preface,
    proxied: header?.kind === "header" ? header : undefined,
    outcome: outcome === "enough" ? "done" : outcome,
  };
}

/** What is known so far. */
class Look {
  readonly #plan: InspectionPlan;
  header: ProxyHeader | undefined;
  hello: ClientHello = nothingSeen;
  preface: HttpPreface = "none";

  constructor(plan: InspectionPlan) {
    this.#plan = plan;
  }

  /** Whether that is all there is to know. */
  at(seen: Buffer): boolean {
    let bytes = seen;
    if (this.#plan.proxyHeader) {
      this.header = parseProxyHeader(seen);
      if (this.header.kind === "incomplete") return false;
      if (this.header.kind === "header") bytes = seen.subarray(this.header.length);
      if (!this.#plan.tls && !this.#plan.http) return true;
    }
    if (this.#plan.tls) {
      this.hello = parseClientHello(bytes);
      if (this.hello.kind === "incomplete") return false;
      if (this.hello.kind === "tls") return true;
    }
    if (!this.#plan.http) return true;
    this.preface = detectHttp(bytes);
    return this.preface !== "incomplete";
  }
}
