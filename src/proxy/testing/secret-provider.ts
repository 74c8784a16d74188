import { create, fromBinary, fromJson, toBinary, type JsonValue } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import type { Issued } from "../../net/testing/index.ts";
import { DiscoveryRequestSchema, DiscoveryResponseSchema, type DiscoveryRequest } from "../../wire/discovery/index.ts";
import { envoyRegistry, SecretSchema } from "../../wire/envoy/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";

type SecretCall = grpc.ServerDuplexStream<Buffer, Buffer>;

/** An SDS provider for tests. It does not answer for a secret that it does not have yet. */
export class SecretProvider implements AsyncDisposable {
  readonly #server = new grpc.Server();
  readonly #secrets = new Map<string, JsonValue | undefined>();
  readonly #calls = new Map<SecretCall, string>();
  #version = 0;
  readonly requests: DiscoveryRequest[] = [];
  port = 0;

  static async start(port = 0): Promise<SecretProvider> {
    const provider = new SecretProvider();
    const identity = (bytes: Buffer): Buffer => bytes;
    const definition = {
      streamSecrets: {
        path: "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets",
        requestStream: true,
        responseStream: true,
        requestSerialize: identity,
        requestDeserialize: identity,
        responseSerialize: identity,
        responseDeserialize: identity,
      },
    } as const;
    provider.#server.addService(definition, { streamSecrets: (call: SecretCall) => provider.#serve(call) });
    provider.port = await new Promise<number>((resolve, reject) => {
      provider.#server.bindAsync(`127.0.0.1:${port}`, grpc.ServerCredentials.createInsecure(), (error, bound) =>
        error === null ? resolve(bound) : reject(error),
      );
    });
    return provider;
  }

  /** The names of the secrets with an open stream. */
  get asked(): readonly string[] {
    return [...this.#calls.values()].sort();
  }

  /**
   * Sets a secret and sends it to the clients that wait. If the secret is undefined, the provider answers that there is
   * none.
   */
  put(name: string, secret: JsonValue | undefined): void {
    this.#secrets.set(name, secret);
    for (const [call, requestedName] of this.#calls) if (requestedName === name) this.#send(call, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    await Promise.resolve();
  }

  #serve(call: SecretCall): void {
    call.on("error", () => undefined);
    call.on("close", () => this.#calls.delete(call));
    call.on("data", (bytes: Buffer) => {
      const request = fromBinary(DiscoveryRequestSchema, bytes);
      this.requests.push(request);
      if (request.responseNonce !== "") return;
      const [name = ""] = request.resourceNames;
      this.#calls.set(call, name);
      if (this.#secrets.has(name)) this.#send(call, name);
    });
    call.on("end", () => call.end());
  }

  #send(call: SecretCall, name: string): void {
    const secret = this.#secrets.get(name);
    this.#version += 1;
    const resources =
      secret === undefined
        ? []
        : [
            create(AnySchema, {
              typeUrl: typeUrls.secret,
              value: toBinary(SecretSchema, fromJson(SecretSchema, secret, { registry: envoyRegistry() })),
            }),
          ];
    const version = String(this.#version);
    const response = create(DiscoveryResponseSchema, {
      typeUrl: typeUrls.secret,
      versionInfo: version,
      nonce: version,
      resources,
    });
    call.write(Buffer.from(toBinary(DiscoveryResponseSchema, response)));
  }
}

const inline = (text: string): JsonValue => ({ inlineBytes: Buffer.from(text).toString("base64") });

export function certificateSecret(name: string, { certificateChain, privateKey }: Issued): JsonValue {
  return { name, tlsCertificate: { certificateChain: inline(certificateChain), privateKey: inline(privateKey) } };
}

export function rootsSecret(name: string, roots: string): JsonValue {
  return { name, validationContext: { trustedCa: inline(roots) } };
}
