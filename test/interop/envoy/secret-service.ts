// Serves the workload's certificate and its roots by SDS on a Unix socket, to the Envoy beside this agent.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import type { CertificateSource, WorkloadCertificate } from "../../../src/dataplane/index.ts";
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  type DiscoveryRequest,
} from "../../../src/wire/discovery/index.ts";
import { SecretSchema, type Secret } from "../../../src/wire/envoy/index.ts";

export interface SecretServiceOptions {
  readonly certificates: CertificateSource;
  readonly identity: string;
}

const ownName = "default";
const rootName = "ROOTCA";
const systemRoots = "/etc/ssl/certs/ca-certificates.crt";
const secretType = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const streamSecrets = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
/** How often to look for a rotated certificate, which is sent at most this much later. */
const lookMs = 10_000;

type Call = grpc.ServerDuplexStream<DiscoveryRequest, Buffer>;

/** Serves on the socket until the returned function is called. */
export async function serveSecrets(socket: string, options: SecretServiceOptions): Promise<() => void> {
  const server = new grpc.Server();
  const method = {
    path: streamSecrets,
    requestStream: true,
    responseStream: true,
    requestDeserialize: (bytes: Buffer) => fromBinary(DiscoveryRequestSchema, bytes),
    requestSerialize: (message: DiscoveryRequest) => Buffer.from(toBinary(DiscoveryRequestSchema, message)),
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  } as const;
  server.addService({ streamSecrets: method }, { streamSecrets: (call: Call) => serveStream(call, options) });
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, grpc.ServerCredentials.createInsecure(), (error) =>
      error === null ? resolve() : reject(error),
    ),
  );
  return () => server.forceShutdown();
}

function serveStream(call: Call, { certificates, identity }: SecretServiceOptions): void {
  const ended = new AbortController();
  let names: readonly string[] = [];
  let sent = "";
  const send = async (): Promise<void> => {
    const certificate = await certificates.fetch(identity, ended.signal);
    const version = `${certificate.serialNumber} ${names.join(" ")}`;
    if (ended.signal.aborted || version === sent) return;
    sent = version;
    const resources = names.map((name) => anyPack(SecretSchema, secretOf(name, certificate)));
    call.write(
      Buffer.from(
        toBinary(
          DiscoveryResponseSchema,
          create(DiscoveryResponseSchema, {
            versionInfo: certificate.serialNumber,
            nonce: version,
            typeUrl: secretType,
            resources,
          }),
        ),
      ),
    );
  };
  const look = (): void => void send().catch((error: unknown) => call.destroy(error as Error));
  const timer = setInterval(look, lookMs);
  call.on("data", (request: DiscoveryRequest) => {
    if (request.errorDetail !== undefined)
      process.stderr.write(`a secret was refused: ${request.errorDetail.message}\n`);
    names = request.resourceNames;
    look();
  });
  const end = (): void => {
    clearInterval(timer);
    ended.abort();
    call.end();
  };
  for (const event of ["end", "close", "cancelled", "error"]) call.once(event, end);
}

function secretOf(name: string, { chainPem, privateKeyPem, rootsPem }: WorkloadCertificate): Secret {
  if (name === ownName)
    return create(SecretSchema, {
      name,
      type: { case: "tlsCertificate", value: { certificateChain: bytes(chainPem), privateKey: bytes(privateKeyPem) } },
    });
  if (name === rootName)
    return create(SecretSchema, { name, type: { case: "validationContext", value: { trustedCa: bytes(rootsPem) } } });
  // A DestinationRule or a gateway may name certificates in the proxy's files: `file-root:<path>` or
  // `file-cert:<certificate>~<key>`.
  const [kind, files = ""] = name.split(":", 2);
  const [first = "", key = ""] = files.split("~");
  if (kind === "file-root")
    return create(SecretSchema, {
      name,
      type: { case: "validationContext", value: { trustedCa: file(first === "system" ? systemRoots : first) } },
    });
  if (kind === "file-cert")
    return create(SecretSchema, {
      name,
      type: { case: "tlsCertificate", value: { certificateChain: file(first), privateKey: file(key) } },
    });
  throw new Error(`Envoy asked for a secret "${name}"; the agent has ${ownName}, ${rootName}, and files`);
}

const bytes = (text: string) => ({
  specifier: { case: "inlineBytes" as const, value: new TextEncoder().encode(text) },
});
const file = (path: string) => ({ specifier: { case: "filename" as const, value: path } });
