import type { InspectorSpec, ProxyHeaderRules } from "./listener-spec.ts";
import { peek, type ByteStream, type SocketAddress } from "../../net/index.ts";
import { maxClientHelloBytes, parseClientHello, type ClientHello } from "./client-hello.ts";
import { detectHttp, maxPrefaceBytes, type HttpPreface } from "./http-preface.ts";
import { maxProxyHeaderBytes, parseProxyHeader, type ProxyHeader } from "./proxy-protocol.ts";

export interface Inspection {
  /** All bytes that were read, without a PROXY header. The connection's next reader gets them first. */
  readonly bytes: Buffer;
  readonly hello: ClientHello;
  readonly preface: HttpPreface;
  readonly proxied:
    | { readonly remote: SocketAddress | undefined; readonly local: SocketAddress | undefined }
    | undefined;
  /**
   * How the inspection ended. `timeout` means that some facts are missing. `ended` means that the client has left.
   * `refused` means that the connection must be closed.
   */
  readonly outcome: "done" | "timeout" | "ended" | "refused";
}

export interface InspectionPlan {
  /** How to read the PROXY header. Undefined if none is expected. */
  readonly proxyHeader: ProxyHeaderRules | undefined;
  readonly tls: boolean;
  readonly http: boolean;
  readonly timeoutMs: number;
}

const nothingSeen: ClientHello = { kind: "not-tls" };

export const noInspection: Inspection = {
  bytes: Buffer.alloc(0),
  hello: nothingSeen,
  preface: "none",
  proxied: undefined,
  outcome: "done",
};

export function inspectionPlan(
  inspectors: readonly InspectorSpec[],
  destinationPort: number,
  timeoutMs: number,
): InspectionPlan | undefined {
  const wants = (kind: InspectorSpec["kind"]): boolean =>
    inspectors.some((inspector) => inspector.kind === kind && inspector.enabled(destinationPort));
  const proxyHeader = inspectors.find(
    (inspector) => inspector.kind === "proxy-protocol" && inspector.enabled(destinationPort),
  )?.headers;
  const plan = { proxyHeader, tls: wants("tls"), http: wants("http"), timeoutMs };
  return plan.proxyHeader !== undefined || plan.tls || plan.http ? plan : undefined;
}

/** Reads from a paused stream until the facts that the plan needs are known, and pauses it again. */
export async function inspect(stream: ByteStream, plan: InspectionPlan): Promise<Inspection> {
  const look = new Look(plan);
  const { bytes, outcome } = await peek(stream, {
    enough: (seen) => look.at(seen),
    maxBytes:
      (plan.http ? maxPrefaceBytes : maxClientHelloBytes) + (plan.proxyHeader === undefined ? 0 : maxProxyHeaderBytes),
    timeoutMs: plan.timeoutMs,
  });
  const header = look.header;
  return {
    bytes: header?.kind === "header" ? bytes.subarray(header.length) : bytes,
    hello: look.hello,
    preface: look.preface,
    proxied: header?.kind === "header" ? header : undefined,
    outcome: outcome === "ended" ? outcome : look.refused ? "refused" : outcome === "enough" ? "done" : outcome,
  };
}

class Look {
  readonly #plan: InspectionPlan;
  header: ProxyHeader | undefined;
  hello: ClientHello = nothingSeen;
  preface: HttpPreface = "none";

  constructor(plan: InspectionPlan) {
    this.#plan = plan;
  }

  /**
   * Whether the connection must be refused because of the sender's PROXY header, which alone names the client. The
   * header is required and missing, is invalid, or has a version that the listener does not accept.
   */
  get refused(): boolean {
    const rules = this.#plan.proxyHeader;
    if (rules === undefined) return false;
    switch (this.header?.kind) {
      case "header":
        return !rules.versions.has(this.header.version);
      case "none":
        return !rules.optional;
      case "bad":
        return true;
      default:
        // Refuse bytes that begin like a PROXY header and are not one, even if the header is optional.
        return !rules.optional || this.header !== undefined;
    }
  }

  /** Looks at the bytes so far. Returns whether all facts are known. */
  at(received: Buffer): boolean {
    let bytes = received;
    if (this.#plan.proxyHeader !== undefined) {
      this.header = parseProxyHeader(received);
      if (this.header.kind === "incomplete") return false;
      if (this.refused) return true;
      if (this.header.kind === "header") bytes = received.subarray(this.header.length);
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
