// A client of one registry that speaks the OCI distribution protocol. It gets the tokens, or sends the passwords, that
// the registry requires.
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { nodeHttp, transientError, userError, type SerinError } from "../../base/index.ts";
import { JoinedBytes, requireFinalResponse } from "../../base/joined-bytes/index.ts";
import type { RegistryCredentials } from "./registry-credentials.ts";

export interface RegistryOptions {
  /** The registry's host, with the port if it is not the default. */
  readonly registry: string;
  readonly plainHttp: boolean;
  /** CA certificates in PEM. They replace the operating system's. */
  readonly authorities?: string;
  readonly credentials: RegistryCredentials | undefined;
  readonly userAgent: string;
  readonly signal: AbortSignal;
}

export interface RegistryRequest {
  readonly method: "GET" | "HEAD" | "POST" | "PUT";
  /** A path of the registry, or a full URL that the registry returned. */
  readonly target: string | URL;
  /** Each repository needs a token of its own. */
  readonly repository: string;
  readonly contentType?: string;
  readonly body?: RequestBody;
}

/** The body of a request. It is opened again if the registry refuses the first attempt and asks for credentials. */
export interface RequestBody {
  readonly sizeBytes: number;
  readonly open: () => Readable;
}

export interface RegistryAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

/** How long no byte may arrive or leave before a request fails. */
const silenceMs = 60_000;
/** The maximum size of a response body. Only tokens and errors are read. */
const maxAnswerBytes = 256 * 1024;

export class RegistryClient {
  readonly registry: string;
  readonly #options: RegistryOptions;
  readonly url: URL;
  readonly #authorizations = new Map<string, string>();

  constructor(options: RegistryOptions) {
    this.registry = options.registry;
    this.#options = options;
    const host = options.registry === "docker.io" ? "registry-1.docker.io" : options.registry;
    this.url = new URL(`${options.plainHttp ? "http" : "https"}://${host}/`);
  }

  async send(request: RegistryRequest): Promise<RegistryAnswer> {
    const url = new URL(request.target, this.url);
    // The registry may redirect uploads to another host, which must not get the registry's credentials.
    const isOwn = url.host === this.url.host && url.protocol === this.url.protocol;
    const known = isOwn ? this.#authorizations.get(request.repository) : undefined;
    let answer = await this.#exchange(url, request, known);
    if (answer.status === 401 && isOwn) {
      const authorization = await this.#authorize(answer.headers["www-authenticate"] ?? "", request.repository);
      if (authorization !== undefined) {
        this.#authorizations.set(request.repository, authorization);
        answer = await this.#exchange(url, request, authorization);
      }
    }
    const { location } = answer.headers;
    // Registries redirect requests for blobs to their storage.
    if (request.method === "HEAD" && isRedirect(answer.status) && location !== undefined) {
      const stored = await this.#exchange(new URL(location, url), request);
      return { ...stored, status: stored.status === 200 ? 200 : 404 };
    }
    return this.#checked(answer, request);
  }

  #checked(answer: RegistryAnswer, { method, repository }: RegistryRequest): RegistryAnswer {
    const { status } = answer;
    if (status === 401 || status === 403) throw this.#refused(status, repository, answer.text);
    if ((status >= 200 && status < 300) || (status === 404 && method === "HEAD")) return answer;
    const message = `${this.registry} answered ${method} of ${repository} with ${status}${errorText(answer.text)}`;
    if (status === 429 || status >= 500)
      throw transientError("registry-busy", message, {
        hint: "try again: the command does not send existing content again",
      });
    throw userError("registry-refused", message, {
      hint:
        status === 404
          ? `create the repository ${repository} first, or choose another --hub`
          : "check that a registry answers there, not a proxy",
    });
  }

  #refused(status: number, repository: string, text: string): SerinError {
    const { credentials } = this.#options;
    const who =
      credentials === undefined
        ? "a caller without credentials"
        : "username" in credentials
          ? `the user ${credentials.username}`
          : "the owner of the stored token";
    return userError(
      "registry-refused",
      `${this.registry} does not let ${who} push to ${repository}: ${status}${errorText(text)}`,
      {
        hint:
          credentials === undefined
            ? `docker login ${this.registry}, or pass --username and --password-stdin`
            : status === 401
              ? `check the password, and that this account may write to ${repository}`
              : `give this account the right to write to ${repository}, or choose another --hub`,
      },
    );
  }

  /**
   * Returns the Authorization header for a challenge: a password, or a token from the server that the challenge names.
   */
  async #authorize(challenge: string, repository: string): Promise<string | undefined> {
    const { credentials } = this.#options;
    const bearer = /\bBearer\s+(.*)$/is.exec(challenge)?.[1];
    if (bearer === undefined) {
      if (!/\bBasic\b/i.test(challenge) || credentials === undefined || !("username" in credentials)) return undefined;
      return basic(credentials.username, credentials.password);
    }
    const fields = new Map(
      [...bearer.matchAll(/(?<!\w)(\w+)="([^"]*)"/g)].map(([, name = "", value = ""]) => [name.toLowerCase(), value]),
    );
    const realm = URL.parse(fields.get("realm") ?? "");
    if (realm === null || (realm.protocol !== "https:" && !(this.#options.plainHttp && realm.protocol === "http:")))
      throw userError(
        "registry-refused",
        `${this.registry} asks for a token of "${fields.get("realm") ?? ""}", which is not an https address`,
        { hint: "--plain-http allows http, in a network that you trust" },
      );
    return `Bearer ${await this.#token(realm, fields, repository)}`;
  }

  async #token(realm: URL, fields: ReadonlyMap<string, string>, repository: string): Promise<string> {
    const { credentials } = this.#options;
    const service = fields.get("service") ?? "";
    const scopes = (fields.get("scope") ?? "").split(" ").filter((scope) => scope !== "");
    let answer: RegistryAnswer;
    if (credentials !== undefined && "identityToken" in credentials) {
      const form = Buffer.from(
        new URLSearchParams({
          grant_type: "refresh_token",
          refresh_token: credentials.identityToken,
          service,
          client_id: "serin",
          scope: scopes.join(" "),
        }).toString(),
      );
      answer = await this.#exchange(realm, {
        method: "POST",
        repository,
        contentType: "application/x-www-form-urlencoded",
        body: bodyOf(form),
      });
    } else {
      if (service !== "") realm.searchParams.set("service", service);
      for (const scope of scopes) realm.searchParams.append("scope", scope);
      const authorization = credentials && basic(credentials.username, credentials.password);
      answer = await this.#exchange(realm, { method: "GET", repository }, authorization);
    }
    if (answer.status === 401 || answer.status === 403) throw this.#refused(answer.status, repository, answer.text);
    const token = answer.status === 200 ? tokenIn(answer.text) : undefined;
    if (token !== undefined) return token;
    throw transientError(
      "registry-refused",
      `${realm.host}, the token server of ${this.registry}, issued no token: ${answer.status}`,
      {
        hint: "try again",
      },
    );
  }

  async #exchange(
    url: URL,
    request: Omit<RegistryRequest, "target">,
    authorization?: string,
    isAgain = false,
  ): Promise<RegistryAnswer> {
    const { method, contentType, body } = request;
    const { userAgent, signal, authorities } = this.#options;
    const options: RequestOptions = {
      method,
      signal,
      headers: {
        "user-agent": userAgent,
        "content-length": body?.sizeBytes ?? 0,
        ...(contentType === undefined ? {} : { "content-type": contentType }),
        ...(authorization === undefined ? {} : { authorization }),
      },
      ...(authorities === undefined ? {} : { ca: authorities }),
    };
    const outgoing = url.protocol === "https:" ? httpsRequest(url, options) : nodeHttp().request(url, options);
    outgoing.setTimeout(silenceMs, () => outgoing.destroy(new Error(`no answer for ${silenceMs / 1000} s`)));
    try {
      const answered = new Promise<IncomingMessage>((resolve, reject) => {
        requireFinalResponse(outgoing).once("response", resolve);
        outgoing.once("error", reject);
      });
      // A registry that refuses responds before everything is sent. Its response says more than the broken pipe of the
      // upload.
      const sent = body === undefined ? undefined : pipeline(body.open(), outgoing).catch(() => undefined);
      if (sent === undefined) outgoing.end();
      const response = await answered;
      const text = await textOf(response);
      return { status: response.statusCode ?? 0, headers: response.headers, text };
    } catch (error) {
      signal.throwIfAborted();
      // A registry may close an idle connection at the moment at which this client reuses it.
      if (outgoing.reusedSocket && !isAgain && (error as NodeJS.ErrnoException).code === "ECONNRESET")
        return await this.#exchange(url, request, authorization, true);
      throw unreachable(url, error as NodeJS.ErrnoException, this.#options);
    }
  }
}

export function bodyOf(bytes: Buffer): RequestBody {
  return { sizeBytes: bytes.length, open: () => Readable.from([bytes]) };
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status);
}

function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

/** Returns the beginning of a response body. Only a page of an error is longer. */
async function textOf(response: IncomingMessage): Promise<string> {
  const beginning = new JoinedBytes();
  for await (const piece of response as AsyncIterable<Buffer>) {
    if (beginning.length + piece.length > maxAnswerBytes) break;
    beginning.add(piece);
  }
  return beginning.view().toString();
}

function tokenIn(text: string): string | undefined {
  try {
    const { token, access_token: accessToken } = JSON.parse(text) as { token?: unknown; access_token?: unknown };
    const found = token ?? accessToken;
    return typeof found === "string" && /^[\x21-\x7e]+$/.test(found) ? found : undefined;
  } catch {
    return undefined;
  }
}

function errorText(text: string): string {
  try {
    const [error] = (JSON.parse(text) as { errors?: readonly { code?: string; message?: string }[] }).errors ?? [];
    return error === undefined ? "" : ` (${error.code ?? ""}: ${error.message ?? ""})`;
  } catch {
    return "";
  }
}

function unreachable(url: URL, cause: NodeJS.ErrnoException, options: RegistryOptions): SerinError {
  const code = cause.code ?? "";
  const hint = certificateHint(code, options);
  if (hint !== undefined)
    // Leave out the advice of Node.js after the semicolon, which is for programmers.
    return userError(
      "registry-refused",
      `cannot reach the registry ${url.host}: ${cause.message.split(";")[0] ?? code}`,
      { hint },
    );
  const isNoTls = code === "EPROTO" || code.startsWith("ERR_SSL");
  return transientError("registry-unreachable", `cannot reach the registry ${url.host}: ${cause.message || code}`, {
    cause,
    hint:
      isNoTls && !options.plainHttp
        ? "--plain-http, if the registry speaks HTTP without TLS"
        : "check its name and port, and that it runs",
  });
}

/** Says what to do about a certificate that was refused. Undefined for any other error. */
function certificateHint(code: string, { authorities }: RegistryOptions): string | undefined {
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") return "--hub must name the registry as its certificate does";
  if (code === "CERT_HAS_EXPIRED" || code === "CERT_NOT_YET_VALID")
    return "renew the registry's certificate, or set this machine's clock";
  if (!/CERT|SELF_SIGNED|UNABLE_TO_(GET|VERIFY)/.test(code)) return undefined;
  return authorities === undefined
    ? "--ca-file <file> names the certificate of its authority"
    : "the authority in --ca-file has not signed the registry's certificate: name the file of the one that has";
}
