import { spawn } from "node:child_process";
import {
  BoundedCache,
  messageOf,
  onAbort,
  transientError,
  userError,
  type Clock,
  type SerinError,
} from "../base/index.ts";

/** The API versions in which a program and its caller may speak. */
export const pluginVersions = ["client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1"] as const;

/** Whether a program gets the terminal's input: never, if there is a terminal, or it cannot run without one. */
export const interactiveModes = ["Never", "IfAvailable", "Always"] as const;

/** `user.exec` of a kubeconfig. */
export interface PluginSettings {
  /** The user and the file, for messages: `user "me" of /home/me/.kube/config`. */
  readonly where: string;
  /** A path, or a name that is looked up in PATH. */
  readonly command: string;
  readonly args: readonly string[];
  /** Added to the environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly apiVersion: (typeof pluginVersions)[number];
  readonly interactiveMode: (typeof interactiveModes)[number];
  /** How to install the program. */
  readonly installHint?: string;
  /** The cluster, if the program wants to know it (`provideClusterInfo`). */
  readonly cluster?: Readonly<Record<string, unknown>>;
}

/** The certificate of a connection's client, as PEM pair. */
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

/** Clients of one kubeconfig share credentials, as in client-go: a program may take seconds, or ask for a password. */
const known = new BoundedCache<string, CredentialPlugin>(maxPlugins);

/** The program of these settings, which is one object for all who ask. Does not run it. */
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
   * The credential, for which the program runs if there is none, or if it has expired. There is no limit of time,
   * because a person may have to log in. The signal ends the wait, and not the program, for which others may wait.
   * Throws a user error with the program's name.
   */
  async current(clock: Clock, signal?: AbortSignal): Promise<PluginCredential> {
    if (this.#credential !== undefined && clock.nowMs() < this.#expiresAtMs) return this.#credential;
    this.#running ??= this.#run().finally(() => (this.#running = undefined));
    const running = this.#running;
    const { promise, resolve, reject } = Promise.withResolvers<PluginCredential>();
    using _abort = onAbort(signal, () =>
      reject(transientError("cancelled", `the wait for the program ${this.#settings.command} was cancelled`)),
    );
    running.then(resolve, reject);
    return await promise;
  }

  /** The server has refused this credential, so the next request needs another one. */
  forget(refused: PluginCredential): void {
    if (this.#credential === refused) this.#credential = undefined;
  }

  async #run(): Promise<PluginCredential> {
    const { interactiveMode } = this.#settings;
    const { isTerminal } = this.#surroundings;
    if (interactiveMode === "Always" && !isTerminal)
      throw this.#fault("needs a terminal (interactiveMode: Always), and standard input is none");
    const text = await this.#output(interactiveMode !== "Never" && isTerminal);
    const { token, clientCertificate, expiresAtMs } = this.#parse(text);
    // Clients open new connections for another object.
    const certificate = isSame(clientCertificate, this.#certificate) ? this.#certificate : clientCertificate;
    this.#certificate = certificate;
    this.#credential = {
      ...(token === undefined ? {} : { token }),
      ...(certificate === undefined ? {} : { clientCertificate: certificate }),
    };
    this.#expiresAtMs = expiresAtMs;
    return this.#credential;
  }

  /** Runs the program. Its standard error is ours, because it tells the user there what to do. */
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
    child.stdout.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= maxAnswerBytes) pieces.push(piece);
      else child.kill();
    });
    return await new Promise((resolve, reject) => {
      child.once("error", (error: NodeJS.ErrnoException) =>
        reject(
          error.code === "ENOENT"
            ? this.#fault("was not found", installHint ?? `install ${command}, or add its folder to PATH`)
            : this.#fault(`cannot run: ${error.message}`),
        ),
      );
      child.once("close", (code, signal) => {
        if (bytes > maxAnswerBytes) return reject(this.#fault(`printed more than ${maxAnswerBytes} bytes`));
        if (code === 0) return resolve(Buffer.concat(pieces).toString("utf8"));
        reject(this.#fault(code === null ? `was ended by ${signal ?? "a signal"}` : `ended with ${code}`));
      });
    });
  }

  #parse(text: string): PluginCredential & { readonly expiresAtMs: number } {
    const { apiVersion, kind, status } = this.#answer(text);
    const wanted = this.#settings.apiVersion;
    if (kind !== "ExecCredential" || apiVersion !== wanted)
      throw this.#fault(
        `printed ${kind ?? "no kind"} of ${apiVersion ?? "no apiVersion"}, expected ExecCredential of ${wanted}`,
      );
    const { token, clientCertificateData: certificate, clientKeyData: key, expirationTimestamp } = status ?? {};
    if (isFilled(certificate) !== isFilled(key))
      throw this.#fault("returned only one of clientCertificateData and clientKeyData");
    if (!isFilled(token) && !isFilled(certificate)) throw this.#fault("returned neither a token nor a certificate");
    const expiresAtMs = isFilled(expirationTimestamp) ? Date.parse(expirationTimestamp) : Number.POSITIVE_INFINITY;
    if (Number.isNaN(expiresAtMs))
      throw this.#fault(
        `returned "${String(expirationTimestamp)}" as expirationTimestamp, expected a time of RFC 3339`,
      );
    return {
      ...(isFilled(token) ? { token } : {}),
      ...(isFilled(certificate) && isFilled(key) ? { clientCertificate: { certificate, key } } : {}),
      expiresAtMs,
    };
  }

  #answer(text: string): ExecCredential {
    try {
      const answer: unknown = JSON.parse(text);
      if (typeof answer === "object" && answer !== null) return answer;
      throw new Error("it is no object");
    } catch (error) {
      throw this.#fault(`printed no ExecCredential in JSON: ${messageOf(error)}`);
    }
  }

  #fault(what: string, hint?: string): SerinError {
    const { where, command } = this.#settings;
    return userError("credential-plugin-failed", `the program ${command} for the credentials of ${where} ${what}`, {
      hint: hint ?? `run ${command} yourself to see why, or log in with it`,
    });
  }
}

/** The fields of a program's answer that matter here. Unknown types count as absent. */
interface ExecCredential {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly status?: {
    readonly token?: unknown;
    readonly clientCertificateData?: unknown;
    readonly clientKeyData?: unknown;
    readonly expirationTimestamp?: unknown;
  } | null;
}

function isFilled(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function isSame(one: PluginCredential["clientCertificate"], other: PluginCredential["clientCertificate"]): boolean {
  return one?.certificate === other?.certificate && one?.key === other?.key;
}
