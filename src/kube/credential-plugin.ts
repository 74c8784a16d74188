import { spawn } from "node:child_process";
import { createSecureContext } from "node:tls";
import {
  moduleCache,
  isTree,
  messageOf,
  onAbort,
  transientError,
  userError,
  withArticle,
  type Clock,
  type SerinError,
  type Tree,
} from "../base/index.ts";
import { isHeaderText } from "./kube-config-fields.ts";

/** The API versions that a program and its caller may use. */
export const pluginVersions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] as const;

/**
 * Whether a program gets the terminal's input: never, if there is a terminal, or always. A program with `Always` cannot
 * run without a terminal.
 */
export const interactiveModes = ["Never", "IfAvailable", "Always"] as const;

/** The settings in `user.exec` of a kubeconfig. */
export interface PluginSettings {
  /** The user and the file, for messages: `user "me" of /home/me/.kube/config`. */
  readonly where: string;
  /** A path, or a name that is looked up in PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** Variables to add to the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly apiVersion: (typeof pluginVersions)[number];
  readonly interactiveMode: (typeof interactiveModes)[number];
  /** How to install the program. */
  readonly installHint?: string;
  /** The cluster, if the program wants to know it (`provideClusterInfo`). */
  readonly cluster?: Readonly<Record<string, unknown>>;
}

/** A client certificate with its key, in PEM. */
export interface ClientCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** What a program has returned: a token, a certificate, or both. */
export interface PluginCredential {
  readonly token?: string;
  readonly clientCertificate?: ClientCertificate;
}

export interface PluginSurroundings {
  readonly env: NodeJS.ProcessEnv;
  /** Whether standard input is a terminal. */
  readonly isTerminal: boolean;
}

const maxAnswerBytes = 1 << 20;
const maxPlugins = 64;

/**
 * Clients of one kubeconfig share credentials, as in client-go, because a program may take seconds or ask for a
 * password.
 */
const known = moduleCache<string, CredentialPlugin>("credential-plugins", maxPlugins);

/**
 * Returns the program for these settings, and does not run it. All callers with the same settings get the same object.
 */
export function credentialPlugin(settings: PluginSettings, surroundings: PluginSurroundings): CredentialPlugin {
  const key = JSON.stringify(settings);
  const plugin = known.get(key) ?? new CredentialPlugin(settings, surroundings);
  known.set(key, plugin);
  return plugin;
}

/**
 * A program that a kubeconfig names to get credentials, such as `aws eks get-token`
 * (https://kubernetes.io/docs/reference/config-api/client-authentication.v1/).
 */
export class CredentialPlugin {
  readonly #settings: PluginSettings;
  readonly #surroundings: PluginSurroundings;
  #credential: PluginCredential | undefined;
  #certificate: ClientCertificate | undefined;
  #expiresAtMs = Number.POSITIVE_INFINITY;
  #running: Promise<PluginCredential> | undefined;

  constructor(settings: PluginSettings, surroundings: PluginSurroundings) {
    this.#settings = settings;
    this.#surroundings = surroundings;
  }

  /**
   * Returns the credential. If there is none, or it has expired, the program runs first. There is no time limit,
   * because a person may have to log in. The signal ends only this wait. The program continues, because other callers
   * may wait for it too. Throws a user error with the program's name.
   */
  async current(clock: Clock, signal?: AbortSignal): Promise<PluginCredential> {
    if (this.#credential !== undefined && clock.nowMs() < this.#expiresAtMs) return this.#credential;
    this.#running ??= this.#run(clock).finally(() => (this.#running = undefined));
    const running = this.#running;
    const { promise, resolve, reject } = Promise.withResolvers<PluginCredential>();
    using _abort = onAbort(signal, () =>
      reject(transientError("cancelled", `the wait for the program ${this.#settings.command} was cancelled`)),
    );
    running.then(resolve, reject);
    return await promise;
  }

  /** Forgets a credential that the server has refused, so that the next request gets another one. */
  forget(refused: PluginCredential): void {
    if (this.#credential === refused) this.#credential = undefined;
  }

  async #run(clock: Clock): Promise<PluginCredential> {
    const { interactiveMode } = this.#settings;
    const { isTerminal } = this.#surroundings;
    if (interactiveMode === "Always" && !isTerminal)
      throw this.#fault("needs a terminal (interactiveMode: Always), and standard input is none");
    const text = await this.#output(interactiveMode !== "Never" && isTerminal);
    const { token, clientCertificate, expiresAtMs } = this.#parse(text, clock.nowMs());
    // A client opens a new connection if this object has changed, so return the same object for an equal certificate.
    const certificate = isSame(clientCertificate, this.#certificate) ? this.#certificate : clientCertificate;
    this.#certificate = certificate;
    this.#credential = {
      ...(token === undefined ? {} : { token }),
      ...(certificate === undefined ? {} : { clientCertificate: certificate }),
    };
    this.#expiresAtMs = expiresAtMs;
    return this.#credential;
  }

  /** Runs the program. It inherits this process' standard error, on which it tells the user what to do. */
  async #output(interactive: boolean): Promise<string> {
    const { command, args, env, apiVersion, cluster, installHint } = this.#settings;
    const spec = { ...(cluster === undefined ? {} : { cluster }), interactive };
    const info = JSON.stringify({ kind: "ExecCredential", apiVersion, spec });
    const child = spawn(command, args, {
      env: { ...this.#surroundings.env, ...env, KUBERNETES_EXEC_INFO: info },
      stdio: [interactive ? "inherit" : "ignore", "pipe", "inherit"],
    });
    const pieces: Buffer[] = [];
    let bytes = 0;
    return await new Promise((resolve, reject) => {
      child.stdout.on("data", (piece: Buffer) => {
        bytes += piece.length;
        if (bytes <= maxAnswerBytes) return void pieces.push(piece);
        // The program may ignore SIGTERM, or leave a child that goes on writing.
        child.kill("SIGKILL");
        child.stdout.destroy();
        reject(this.#fault(`printed more than ${maxAnswerBytes} bytes`));
      });
      child.once("error", (error: NodeJS.ErrnoException) =>
        reject(
          error.code === "ENOENT"
            ? this.#fault("was not found", installHint ?? `install ${command}, or add its folder to PATH`)
            : this.#fault(`cannot run: ${error.message}`),
        ),
      );
      child.once("close", (code, signal) => {
        if (code === 0) return resolve(Buffer.concat(pieces).toString("utf8"));
        reject(this.#fault(code === null ? `was ended by ${signal ?? "a signal"}` : `ended with ${code}`));
      });
    });
  }

  #parse(text: string, nowMs: number): PluginCredential & { readonly expiresAtMs: number } {
    const answer = this.#answer(text);
    const [kind, apiVersion, wanted] = [answer["kind"], answer["apiVersion"], this.#settings.apiVersion];
    if (kind !== "ExecCredential" || apiVersion !== wanted)
      throw this.#fault(
        `printed ${shown(kind, "no kind")} of ${shown(apiVersion, "no apiVersion")}, expected ExecCredential of ${wanted}`,
      );
    const status = answer["status"] ?? {};
    if (!isTree(status)) throw this.#fault(`returned ${typeName(status)} as status, expected an object`);
    const [token, certificate, key, expiry] = [
      this.#text(status, "token"),
      this.#text(status, "clientCertificateData"),
      this.#text(status, "clientKeyData"),
      this.#text(status, "expirationTimestamp"),
    ];
    if ((certificate === undefined) !== (key === undefined))
      throw this.#fault("returned only one of clientCertificateData and clientKeyData");
    if (token === undefined && certificate === undefined)
      throw this.#fault("returned neither a token nor a certificate");
    if (token !== undefined && !isHeaderText(token))
      throw this.#fault("returned a token with a line break or another character that no HTTP header may contain");
    if (certificate !== undefined) this.#checkPair(certificate, key);
    return {
      ...(token === undefined ? {} : { token }),
      ...(certificate === undefined || key === undefined ? {} : { clientCertificate: { certificate, key } }),
      expiresAtMs: this.#expiryOf(expiry, nowMs),
    };
  }

  /** A connection with an unusable certificate would fail later, with an error that cannot name the program. */
  #checkPair(cert: string, key: string | undefined): void {
    try {
      createSecureContext({ cert, key });
    } catch (error) {
      throw this.#fault(
        `returned clientCertificateData and clientKeyData that cannot be used: ${messageOf(error)}`,
        "both must be PEM, and the key must belong to the certificate",
      );
    }
  }

  /**
   * When the credential expires. A credential that has already expired is used for a while, because this machine's
   * clock may be ahead, and because the program must not run for each request. The server's refusal ends its use,
   * except for a certificate: the server then ends the TLS handshake, which this code does not see.
   */
  #expiryOf(expiry: string | undefined, nowMs: number): number {
    if (expiry === undefined) return Number.POSITIVE_INFINITY;
    const expiresAtMs = rfc3339.test(expiry) ? Date.parse(expiry) : Number.NaN;
    if (Number.isNaN(expiresAtMs))
      throw this.#fault(`returned "${expiry}" as expirationTimestamp, expected a time of RFC 3339`);
    return expiresAtMs <= nowMs ? nowMs + expiredUseMs : expiresAtMs;
  }

  /** A text field of the status. Undefined if it is absent or empty. */
  #text(status: Tree, name: string): string | undefined {
    const value = status[name] ?? "";
    if (typeof value !== "string") throw this.#fault(`returned ${typeName(value)} as ${name}, expected a string`);
    return value === "" ? undefined : value;
  }

  #answer(text: string): Tree {
    let answer: unknown;
    try {
      answer = JSON.parse(text);
    } catch {
      // The parser's message would quote the text, which may be a secret.
      throw this.#fault("printed no ExecCredential: its output is not JSON");
    }
    if (!isTree(answer)) throw this.#fault(`printed no ExecCredential: its output is ${typeName(answer)}`);
    return answer;
  }

  #fault(what: string, hint?: string): SerinError {
    const { where, command } = this.#settings;
    return userError("credential-plugin-failed", `the program ${command} for the credentials of ${where} ${what}`, {
      hint: hint ?? `run ${command} yourself to see why, or log in with it`,
    });
  }
}

/** How long a credential is used that had already expired when the program returned it. */
const expiredUseMs = 60_000;
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

/** A field of the program's output, as text for a message. */
function shown(value: unknown, otherwise: string): string {
  if (value === undefined || value === null) return otherwise;
  return typeof value === "string" ? value.slice(0, 100) : typeName(value);
}

function typeName(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  return value === null ? "null" : withArticle(typeof value);
}

function isSame(one: PluginCredential["clientCertificate"], other: PluginCredential["clientCertificate"]): boolean {
  return one?.certificate === other?.certificate && one?.key === other?.key;
}
