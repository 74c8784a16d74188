import { readFileSync } from "node:fs";
import { messageOf, userError, type Clock } from "../base/index.ts";
import { isHeaderText } from "./kube-config-fields.ts";
import type { ClientCertificate, PluginCredential } from "./credential-plugin.ts";
import type { KubeConfig } from "./kube-config.ts";
import type { Impersonation } from "./kube-config-user.ts";

/**
 * How often a token file is read again, as in client-go. The kubelet rotates a projected token at 80 % of its lifetime.
 */
const tokenReloadMs = 60_000;

export type RequestHeaders = Readonly<Record<string, string | string[]>>;

export interface RequestCredentials {
  /** The header `authorization`, and the headers for impersonation. */
  readonly headers: RequestHeaders;
  /** The client certificate of the connection. It is the same object until the certificate changes. */
  readonly clientCertificate: ClientCertificate | undefined;
  /** The credential of a program, or undefined if the config names no program. */
  readonly fromPlugin: PluginCredential | undefined;
}

/**
 * The credentials of a config. A token file is read again each minute, and at once after a 401. A program runs again
 * when its credentials have expired, and after a 401.
 */
export class Credentials {
  readonly #config: KubeConfig;
  readonly #clock: Clock;
  readonly #impersonation: RequestHeaders;
  #header: string | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(config: KubeConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
    this.#impersonation = headersOf(config.impersonation);
  }

  get rotates(): boolean {
    return this.#config.token?.type === "file" || this.#config.plugin !== undefined;
  }

  /** Discards credentials that the server has refused, unless newer ones have already replaced them. */
  forget({ headers, fromPlugin }: RequestCredentials): void {
    if (headers["authorization"] === this.#header) this.#readAtMs = Number.NEGATIVE_INFINITY;
    if (fromPlugin !== undefined) this.#config.plugin?.forget(fromPlugin);
  }

  /**
   * Runs the config's program, if it names one, and waits for its credentials. A person may have to log in meanwhile,
   * so callers with a deadline call this before the deadline begins. Throws like {@link current}.
   */
  async prepare(signal: AbortSignal | undefined): Promise<void> {
    await this.#config.plugin?.current(this.#clock, signal);
  }

  /**
   * Returns the current credentials. Throws a user error if a token file cannot be read or a program fails. Aborting
   * the signal ends only this call, and not the program.
   */
  async current(signal?: AbortSignal): Promise<RequestCredentials> {
    const { plugin } = this.#config;
    const fromPlugin = plugin === undefined ? undefined : await plugin.current(this.#clock, signal);
    const authorization = this.#authorization(fromPlugin);
    return {
      headers: { ...(authorization === undefined ? {} : { authorization }), ...this.#impersonation },
      clientCertificate: this.#config.clientCertificate ?? fromPlugin?.clientCertificate,
      fromPlugin,
    };
  }

  #authorization(fromPlugin: PluginCredential | undefined): string | undefined {
    const { token, basic } = this.#config;
    if (token?.type === "literal") return `Bearer ${token.token}`;
    if (token?.type === "file") return this.#fromFile(token.path);
    if (basic !== undefined) return `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString("base64")}`;
    return fromPlugin?.token === undefined ? undefined : `Bearer ${fromPlugin.token}`;
  }

  #fromFile(path: string): string {
    const now = this.#clock.steadyMs();
    if (this.#header !== undefined && now - this.#readAtMs < tokenReloadMs) return this.#header;
    try {
      const token = readFileSync(path, "utf8").trim();
      if (!isHeaderText(token)) throw new Error("it contains a character that no HTTP header may contain");
      this.#header = `Bearer ${token}`;
      this.#readAtMs = now;
    } catch (error) {
      // Use the old token if the file cannot be read, because it may be just being replaced.
      if (this.#header === undefined)
        throw userError("file-unreadable", `cannot read the token ${path}: ${messageOf(error)}`, { cause: error });
    }
    return this.#header;
  }
}

/** The headers for impersonation (https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/). */
function headersOf(impersonation: Impersonation | undefined): RequestHeaders {
  if (impersonation === undefined) return {};
  const { user, uid, groups = [], extra = {} } = impersonation;
  return {
    "impersonate-user": headerValue("user", user),
    ...(uid === undefined ? {} : { "impersonate-uid": headerValue("UID", uid) }),
    ...(groups.length === 0 ? {} : { "impersonate-group": groups.map((group) => headerValue("group", group)) }),
    ...Object.fromEntries(
      Object.entries(extra).map(([key, values]) => [
        `impersonate-extra-${headerName(key)}`,
        values.map((value) => headerValue(key, value)),
      ]),
    ),
  };
}

/**
 * Encodes a header value in UTF-8, as client-go does. Each byte becomes one character, because Node.js writes one byte
 * for each character.
 */
function headerValue(meaning: string, value: string): string {
  const bytes = Buffer.from(value, "utf8").toString("latin1");
  if (isHeaderText(bytes)) return bytes;
  throw userError("kubeconfig-invalid", `the impersonated ${meaning} contains a line break or a control character`, {
    hint: "check --as, --as-uid and --as-group, or `as` of the kubeconfig's user",
  });
}

/** Percent-encodes characters that a header name may not contain. */
function headerName(key: string): string {
  return encodeURIComponent(key)
    .replaceAll(/[()']/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .toLowerCase();
}
