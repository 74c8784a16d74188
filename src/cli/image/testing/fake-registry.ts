// A registry in memory on a loopback address. It supports the part of the OCI distribution protocol that pushes and
// skopeo use.
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import type { RegistryCertificate } from "./registry-certificate.ts";

export interface FakeRegistryOptions {
  readonly authentication?: "basic" | "bearer";
  readonly uploadStatus?: number;
  /** Whether uploads are refused with 403, whatever the credentials are. */
  readonly readOnly?: boolean;
  /** The certificate for TLS. Plain HTTP if absent. */
  readonly tls?: RegistryCertificate;
}

const account = { username: "mesh", password: "s3cret:with colon", identityToken: "refresh" } as const;

interface Stored {
  readonly type: string;
  readonly bytes: Buffer;
}

export class FakeRegistry implements AsyncDisposable {
  static readonly account = account;
  readonly blobs = new Map<string, Buffer>();
  readonly manifests = new Map<string, Stored>();
  /** All requests as `METHOD path status`. */
  readonly log: string[] = [];
  readonly #options: FakeRegistryOptions;
  readonly #server: Server;

  constructor(options: FakeRegistryOptions = {}) {
    this.#options = options;
    const serve = (request: IncomingMessage, response: ServerResponse): void => void this.#serve(request, response);
    this.#server = options.tls === undefined ? createServer(serve) : createTlsServer(options.tls, serve);
  }

  async start(): Promise<this> {
    await once(this.#server.listen(0, "127.0.0.1"), "listening");
    return this;
  }

  get host(): string {
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", `http://${this.host}`);
    const body = await buffer(request);
    const { status, headers = {}, bytes = "" } = this.#answer(request, url, body);
    this.log.push(`${request.method ?? ""} ${url.pathname} ${status}`);
    response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(bytes) });
    response.end(request.method === "HEAD" ? undefined : bytes);
  }

  #answer(request: IncomingMessage, url: URL, body: Buffer): Answer {
    if (url.pathname === "/token") return this.#token(request, url, body);
    const refusal = this.#refusal(request, url);
    if (refusal !== undefined) return refusal;
    const [, repository = "", kind = "", name = ""] =
      /^\/v2\/(.+)\/(blobs\/uploads|blobs|manifests)\/(.*)$/.exec(url.pathname) ?? [];
    if (kind === "manifests") return this.#manifest(request, repository, name, body);
    if (kind === "blobs") {
      const bytes = this.blobs.get(`${repository}@${name}`);
      return bytes === undefined ? { status: 404 } : { status: 200, bytes };
    }
    if (kind === "blobs/uploads") return this.#upload(request, url, repository, body);
    return { status: url.pathname === "/v2/" ? 200 : 404 };
  }

  #upload({ method }: IncomingMessage, url: URL, repository: string, body: Buffer): Answer {
    const { uploadStatus, readOnly = false } = this.#options;
    if (readOnly)
      return { status: 403, bytes: JSON.stringify({ errors: [{ code: "DENIED", message: "pull alone" }] }) };
    if (uploadStatus !== undefined)
      return {
        status: uploadStatus,
        bytes: JSON.stringify({ errors: [{ code: "UNKNOWN", message: "the disk is full" }] }),
      };
    const { searchParams } = url;
    if (method === "POST") {
      const mounted = this.blobs.get(`${searchParams.get("from") ?? ""}@${searchParams.get("mount") ?? ""}`);
      if (mounted === undefined)
        return { status: 202, headers: { location: `/v2/${repository}/blobs/uploads/7?_state=a%2Bb=` } };
      this.blobs.set(`${repository}@${searchParams.get("mount") ?? ""}`, mounted);
      return { status: 201 };
    }
    const digest = digestOf(body);
    if (!url.search.startsWith("?_state=a%2Bb=&") || searchParams.get("digest") !== digest) return { status: 400 };
    this.blobs.set(`${repository}@${digest}`, body);
    return { status: 201 };
  }

  #manifest({ method, headers }: IncomingMessage, repository: string, name: string, body: Buffer): Answer {
    const key = `${repository}${name.startsWith("sha256:") ? "@" : ":"}${name}`;
    if (method !== "PUT") {
      const found = this.manifests.get(key);
      if (found === undefined) return { status: 404 };
      const { bytes, type } = found;
      return { status: 200, bytes, headers: { "content-type": type, "docker-content-digest": digestOf(bytes) } };
    }
    // Registries refuse manifests that name missing content.
    const { config, layers = [], manifests = [] } = JSON.parse(body.toString()) as Named;
    const blobs = [...(config === undefined ? [] : [config]), ...layers];
    if (
      blobs.some(({ digest }) => !this.blobs.has(`${repository}@${digest}`)) ||
      manifests.some(({ digest }) => !this.manifests.has(`${repository}@${digest}`))
    )
      return {
        status: 400,
        bytes: JSON.stringify({ errors: [{ code: "MANIFEST_BLOB_UNKNOWN", message: "unknown" }] }),
      };
    const stored = { type: headers["content-type"] ?? "", bytes: body };
    this.manifests.set(key, stored);
    this.manifests.set(`${repository}@${digestOf(body)}`, stored);
    return { status: 201 };
  }

  #refusal({ headers, method }: IncomingMessage, url: URL): Answer | undefined {
    const { authentication } = this.#options;
    if (authentication === undefined) return undefined;
    if (authentication === "basic") {
      if (headers.authorization === basicOf(account)) return undefined;
      return { status: 401, headers: { "www-authenticate": 'Basic realm="registry"' } };
    }
    const repository = /^\/v2\/(.+?)\/(blobs|manifests)\//.exec(url.pathname)?.[1] ?? "";
    const from = url.searchParams.get("from");
    const scopes = [
      `repository:${repository}:${method === "HEAD" || method === "GET" ? "pull" : "pull,push"}`,
      ...(from === null ? [] : [`repository:${from}:pull`]),
    ];
    const held = Buffer.from(headers.authorization?.replace("Bearer ", "") ?? "", "base64").toString();
    if (scopes.every((scope) => held.includes(scope))) return undefined;
    return {
      status: 401,
      headers: {
        "www-authenticate": `Bearer realm="http://${this.host}/token",service="registry.test",scope="${scopes.join(" ")}"`,
      },
    };
  }

  #token({ method, headers }: IncomingMessage, url: URL, body: Buffer): Answer {
    const form = new URLSearchParams(method === "POST" ? body.toString() : url.search);
    const mayPush = headers.authorization === basicOf(account) || form.get("refresh_token") === account.identityToken;
    if (form.get("service") !== "registry.test") return { status: 400 };
    if (!mayPush)
      return { status: 401, bytes: JSON.stringify({ errors: [{ code: "DENIED", message: "wrong password" }] }) };
    const token = Buffer.from(form.getAll("scope").join(" ")).toString("base64");
    return { status: 200, bytes: JSON.stringify(method === "POST" ? { access_token: token } : { token }) };
  }
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly bytes?: Buffer | string;
}

interface Named {
  readonly config?: { readonly digest: string };
  readonly layers?: readonly { readonly digest: string }[];
  readonly manifests?: readonly { readonly digest: string }[];
}

function basicOf({ username, password }: typeof account): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
