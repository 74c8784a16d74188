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

/** The API versions of client-go's credential plugins that are supported. */
export const pluginVersions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] as const;

/**
 * Whether a program reads standard input: never, only if it is a terminal, or always. With `Always`, the program does
 * not run without a terminal.
 */
export const interactiveModes = ["Never", "IfAvailable", "Always"] as const;

/** The settings in `user.exec` of a kubeconfig. */
export interface PluginSettings {
  /** The user and the kubeconfig, for error messages: `user "me" of /home/me/.kube/config`. */
  readonly where: string;
  /** The path of the program, or a name to look up in PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** Environment variables to add to those of this process. */
  readonly env: Readonly<Record<string, string>>;
  readonly apiVersion: (typeof pluginVersions)[number];
  readonly interactiveMode: (typeof interactiveModes)[number];
  readonly installHint?: string;
  /** The cluster's data, if the kubeconfig sets `provideClusterInfo`. */
  readonly cluster?: Readonly<Record<string, unknown>>;
}

/** A client certificate with its key, in PEM. */
export interface ClientCertificate {
  readonly certificate: string;
  readonly key: string;
}

/** The output of a program: a token, a certificate, or both. */
export interface PluginCredential {
  readonly token?: string;
  readonly clientCertificate?: ClientCertificate;
}

export interface PluginSurroundings {
  readonly env: NodeJS.ProcessEnv;
  readonly isTerminal: boolean;
}

const maxAnswerBytes = 1 << 20;
const maxPlugins = 64;

/**
 * The programs by their settings. Clients of one kubeconfig share credentials, as in client-go, because a program may
 * run for seconds or ask for a password.
 */
const known = moduleCache<string, CredentialPlugin>("credential-plugins", maxPlugins);

/** Returns the program for these settings, without running it. Callers with equal settings get the same object. */
export function credentialPlugin(settings: PluginSettings, surroundings: PluginSurroundings): CredentialPlugin {
  const key = JSON.stringify(settings);
  const plugin = known.get(key) ?? new CredentialPlugin(settings, surroundings);
  known.set(key, plugin);
  return plugin;
}

/**
 * A program in a kubeconfig that returns credentials, such as `aws eks get-token`
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
   * Returns the credential. Runs the program first if there is none or it has expired. There is no time limit, because
   * a person may have to log in. Aborting the signal ends only this call, and not the program, because other calls may
   * wait for it. Throws a user error with the program's name.
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

  /** Discards a credential that the server has refused, so that the next call of {@link current} gets a new one. */
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
    // Keep the object of an equal certificate, because a client opens a new connection whenever this object changes.
    const certificate = isSame(clientCertificate, this.#certificate) ? this.#certificate : clientCertificate;
    this.#certificate = certificate;
    this.#credential = {
      ...(token === undefined ? {} : { token }),
      ...(certificate === undefined ? {} : { clientCertificate: certificate }),
    };
    this.#expiresAtMs = expiresAtMs;
    return this.#credential;
  }

  /**
   * Runs the program and returns its output. The program writes messages for the user to this process' standard error.
   */
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
        // SIGTERM does not suffice: the program may ignore it, or have a child that continues to write.
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

  /** Checks the certificate here, because a failed connection could not name the program. */
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
   * The time at which the credential expires. If it has already expired, it is used for a minute: this machine's clock
   * may be ahead, and the program must not run for each request. A 401 discards it earlier. A refused certificate does
   * not, because the server then ends the TLS handshake without a 401.
   */
  #expiryOf(expiry: string | undefined, nowMs: number): number {
    if (expiry === undefined) return Number.POSITIVE_INFINITY;
    const expiresAtMs = rfc3339.test(expiry) ? Date.parse(expiry) : Number.NaN;
    if (Number.isNaN(expiresAtMs))
      throw this.#fault(`returned "${expiry}" as expirationTimestamp, expected a time of RFC 3339`);
    return expiresAtMs <= nowMs ? nowMs + expiredUseMs : expiresAtMs;
  }

  /** A text field of the status. Returns undefined if it is absent or empty. */
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
      // Omit the parser's message, because it would quote the text, which may be a secret.
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

/** How long a credential is used that had already expired when it was returned. */
const expiredUseMs = 60_000;
const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i;

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
