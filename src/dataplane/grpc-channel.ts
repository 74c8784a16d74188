import { readFile } from "node:fs/promises";
import type * as Grpc from "@grpc/grpc-js";
import type { ChannelCredentials, ChannelOptions, Client, Metadata } from "@grpc/grpc-js";
import { loadPackage, messageOf, transientError, userError } from "../base/index.ts";
import type { CompliancePolicy } from "../base/compliance/index.ts";
import { TlsContext } from "../net/index.ts";

/** The endpoint of a control plane, and our credentials. Files are read again for each connection. */
export interface ControlPlaneEndpoint {
  /** `https://host:port` or `http://host:port`. */
  readonly url: string;
  /** The PEM file with the roots. Absent means the system's roots. */
  readonly rootCertificateFile?: string;
  /** The file with the service account token, which is sent as bearer token. */
  readonly tokenFile?: string;
  /** Additional headers, such as `clusterid`. */
  readonly headers: Readonly<Record<string, string>>;
  /** The name to verify in the server's certificate instead of the host. */
  readonly serverName?: string;
  /** Limits the connection's TLS. */
  readonly compliance?: CompliancePolicy | undefined;
}

/** Loaded with the first connection, because the workers of a data plane have none, and the library takes megabytes. */
let library: typeof Grpc | undefined;
const grpc = (): typeof Grpc => (library ??= loadPackage<typeof Grpc>("@grpc/grpc-js"));

/** The limit of a response. 6,000 resources take about 3 MB. */
const maxMessageBytes = 256 * 1_048_576;

/**
 * Creates a gRPC client for an endpoint. It resolves the name and reads roots and token again, so that it finds a moved
 * control plane and a rotated token. The caller closes it.
 */
export async function openChannel(endpoint: ControlPlaneEndpoint): Promise<Client> {
  const url = new URL(endpoint.url);
  if (url.protocol !== "https:" && url.protocol !== "http:") {
    throw userError(
      "address-invalid",
      `the control plane's address must be an http or https URL, got "${endpoint.url}"`,
    );
  }
  const secure = url.protocol === "https:";
  const options: ChannelOptions = {
    "grpc.max_receive_message_length": maxMessageBytes,
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 10_000,
    // Each client has its own connections, so a new client resolves the name again.
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
    "grpc.enable_http_proxy": 0,
    ...(endpoint.serverName === undefined
      ? {}
      : { "grpc.ssl_target_name_override": endpoint.serverName, "grpc.default_authority": endpoint.serverName }),
  };
  const roots =
    secure && endpoint.rootCertificateFile !== undefined
      ? await read(endpoint.rootCertificateFile, "root certificate")
      : null;
  const port = url.port === "" ? (secure ? "443" : "80") : url.port;
  return new (grpc().Client)(
    `${url.hostname}:${port}`,
    secure ? secureCredentials(roots, endpoint.compliance) : grpc().credentials.createInsecure(),
    options,
  );
}

function secureCredentials(roots: Buffer | null, compliance: CompliancePolicy | undefined): ChannelCredentials {
  const { credentials } = grpc();
  if (compliance === undefined) return credentials.createSsl(roots);
  const context = TlsContext.create({ ...(roots === null ? {} : { roots: roots.toString("utf8") }), compliance });
  return credentials.createFromSecureContext(context.secureContext);
}

/** The headers of a call: our credentials, and the endpoint's additional headers. */
export async function callMetadata(endpoint: ControlPlaneEndpoint): Promise<Metadata> {
  const metadata = new (grpc().Metadata)();
  if (endpoint.tokenFile !== undefined) {
    const token = await read(endpoint.tokenFile, "token");
    metadata.set("authorization", `Bearer ${token.toString("utf8").trim()}`);
  }
  for (const [name, value] of Object.entries(endpoint.headers)) metadata.set(name, value);
  return metadata;
}

/** Whether the client has a connection. */
export function isConnected(client: Client): boolean {
  return client.getChannel().getConnectivityState(false) === grpc().connectivityState.READY;
}

async function read(path: string, noun: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw transientError("file-unreadable", `cannot read the ${noun} file ${path}: ${messageOf(error)}`, {
      cause: error,
      hint: "check that the volume is mounted",
    });
  }
}
