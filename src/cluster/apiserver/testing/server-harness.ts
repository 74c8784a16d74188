import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ShutdownController, silentLogger } from "../../../base/index.ts";
import { createSchemaRegistry } from "../../schema/index.ts";
import { ApiServer, type ApiServerOptions } from "../api-server.ts";
import { createClusterPki, type ClusterPki } from "../cluster-pki.ts";

// eslint-disable-next-line typescript/no-explicit-any -- tests read answers freely
export type Json = any;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Json;
  readonly text: string;
}

export interface CallOptions {
  readonly token?: string;
  /** Whether the request is sent without any credentials. */
  readonly anonymous?: boolean;
  readonly contentType?: string;
  readonly accept?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** The time limit for an event of a watch. Even on a busy machine, an event takes much less. */
const watchLimitMs = 60_000;

export class ServerHarness {
  readonly directory: string;
  readonly pki: ClusterPki;
  port = 0;
  #shutdown = new ShutdownController();
  #done: Promise<void> = Promise.resolve();

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "serin-apiserver-"));
    this.pki = createClusterPki(join(this.directory, "pki"), { nodes: [{ name: "node-a", addresses: ["127.0.0.1"] }] });
  }

  async start(options: Pick<ApiServerOptions, "eventTtlMs" | "maxUnreadBytes"> = {}): Promise<this> {
    const pem = (file: string): string => readFileSync(file, "utf8");
    const server = new ApiServer({
      stateDirectory: this.directory,
      listen: [{ host: "127.0.0.1", port: 0 }],
      caCertificate: pem(this.pki.caCertificate),
      serverCertificate: pem(this.pki.serverCertificate),
      serverKey: pem(this.pki.serverKey),
      serviceAccountKey: pem(this.pki.serviceAccountKey),
      nodeClientCertificate: pem(this.pki.nodeClientCertificate),
      nodeClientKey: pem(this.pki.nodeClientKey),
      serviceCidr: "10.96.0.0/16",
      advertise: { address: "127.0.0.1" },
      allowsInsideNodes: true,
      registry: createSchemaRegistry(),
      log: silentLogger,
      ...options,
    });
    this.#shutdown = new ShutdownController();
    await new Promise<void>((resolve, reject) => {
      this.#done = server.run(this.#shutdown, ([address]) => {
        this.port = address?.port ?? 0;
        resolve();
      });
      this.#done.catch(reject);
    });
    return this;
  }

  async stop(): Promise<void> {
    this.#shutdown.request("the test is over");
    this.#shutdown.request("the test is over");
    await this.#done;
  }

  async remove(): Promise<void> {
    await this.stop();
    rmSync(this.directory, { recursive: true, force: true });
  }

  credentials(): { ca: string; cert: string; key: string } {
    const { admin, caCertificate } = this.pki;
    return {
      ca: readFileSync(caCertificate, "utf8"),
      cert: readFileSync(admin.certificate, "utf8"),
      key: readFileSync(admin.key, "utf8"),
    };
  }

  async call(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<Answer> {
    const payload = body === undefined ? undefined : typeof body === "string" ? body : JSON.stringify(body);
    return await new Promise((resolve, reject) => {
      const outgoing = this.request(
        method,
        path,
        options,
        payload === undefined ? undefined : Buffer.byteLength(payload),
      );
      outgoing.on("error", reject);
      outgoing.on("response", (answer) => {
        const chunks: Buffer[] = [];
        answer.on("data", (chunk: Buffer) => chunks.push(chunk));
        answer.on("end", () => {
          const text = Buffer.concat(chunks).toString("utf8");
          const json = answer.headers["content-type"]?.startsWith("application/json") === true;
          resolve({
            status: answer.statusCode ?? 0,
            headers: answer.headers,
            text,
            body: json ? JSON.parse(text) : undefined,
          });
        });
      });
      outgoing.end(payload);
    });
  }

  request(method: string, path: string, options: CallOptions = {}, length?: number): ReturnType<typeof httpsRequest> {
    const { ca, cert, key } = this.credentials();
    const identity = options.anonymous === true || options.token !== undefined ? {} : { cert, key };
    return httpsRequest({
      host: "127.0.0.1",
      port: this.port,
      path,
      method,
      ca,
      ...identity,
      agent: false,
      headers: {
        "user-agent": "harness/1",
        ...(options.accept === undefined ? {} : { accept: options.accept }),
        ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }),
        ...(length === undefined
          ? {}
          : { "content-type": options.contentType ?? "application/json", "content-length": length }),
        ...options.headers,
      },
    });
  }

  /** Collects the events of a watch until `enough` returns true, and closes it. Rejects after a minute. */
  async watch(
    path: string,
    enough: (events: Json[]) => boolean,
    started: () => void | Promise<void> = () => undefined,
  ): Promise<Json[]> {
    return await new Promise((resolve, reject) => {
      const outgoing = this.request("GET", path);
      outgoing.on("error", reject);
      outgoing.on("response", (answer) => {
        let pending = "";
        const events: Json[] = [];
        const limit = setTimeout(() => {
          outgoing.destroy();
          reject(new Error(`the watch ${path} has not seen what it waits for, but ${JSON.stringify(events)}`));
        }, watchLimitMs).unref();
        const finish = (): void => {
          clearTimeout(limit);
          outgoing.off("error", reject);
          outgoing.on("error", () => undefined);
          outgoing.destroy();
          resolve(events);
        };
        answer.on("error", () => undefined);
        answer.on("end", finish);
        answer.on("data", (chunk: Buffer) => {
          pending += chunk.toString("utf8");
          const lines = pending.split("\n");
          pending = lines.pop() ?? "";
          for (const line of lines) events.push(JSON.parse(line));
          if (enough(events)) finish();
        });
        Promise.resolve(started()).catch(reject);
      });
      outgoing.end();
    });
  }
}
