import { HbonePool, hboneDialer, type CertificateSource } from "../../dataplane/index.ts";
import { connectTcp, secureClient, TlsContext, type ByteStream } from "../../net/index.ts";
import type { EndpointConfig, EndpointConnector, UpstreamStream } from "./endpoint.ts";

export interface MeshConnectorOptions {
  readonly certificates: CertificateSource;
  /** SPIFFE id that this proxy presents. */
  readonly identity: string;
  /** Sent with each CONNECT: `baggage` and the like. */
  readonly tunnelHeaders: readonly (readonly [name: string, value: string])[];
}

/** What Istio's sidecars want to hear for HTTP/1.1; they would speak another protocol first on `istio-peer-exchange`. */
const meshAlpn = ["istio-http/1.1", "istio", "http/1.1"];

/** Reaches endpoints as they ask for it: plainly, by TLS, or through an HBONE tunnel as this proxy's identity. */
export class MeshConnector implements EndpointConnector {
  readonly #options: MeshConnectorOptions;
  readonly #pool: HbonePool;
  #plainTls: TlsContext | undefined;

  constructor(options: MeshConnectorOptions) {
    this.#options = options;
    this.#pool = new HbonePool({ dial: hboneDialer(options.certificates) });
  }

  /** Tunnel connections that are open. */
  get tunnelConnections(): number {
    return this.#pool.connections;
  }

  async connect(endpoint: EndpointConfig, timeoutMs: number): Promise<UpstreamStream> {
    const { transport, address, port } = endpoint;
    switch (transport.kind) {
      case "plain":
        return await connectTcp({ address, port, timeoutMs });
      case "hbone":
        return await this.#pool.connect({
          sourceIdentity: this.#options.identity,
          address: transport.address,
          port: transport.port,
          expectedIdentities: transport.expectedIdentities,
          authority: transport.authority,
          headers: this.#options.tunnelHeaders,
          timeoutMs,
        });
      case "tls":
        return await this.#secure(endpoint, transport, timeoutMs);
    }
  }

  /** Gives up idle tunnels; those in use go on. */
  close(): void {
    this.#pool.close();
  }

  async #secure(endpoint: EndpointConfig, transport: Extract<EndpointConfig["transport"], { readonly kind: "tls" }>, timeoutMs: number): Promise<ByteStream> {
    const context = await this.#context(transport.mutual, timeoutMs);
    const stream = await connectTcp({ address: endpoint.address, port: endpoint.port, timeoutMs });
    const verify = transport.expectedIdentities.length > 0 || transport.mutual ? ({ by: "identities", identities: transport.expectedIdentities } as const) : ({ by: "none" } as const);
    return await secureClient(stream, context, {
      alpn: transport.mutual ? meshAlpn : transport.alpnProtocols.filter((protocol) => protocol === "http/1.1"),
      ...(transport.serverName === undefined ? {} : { servername: transport.serverName }),
      timeoutMs,
      verify,
    });
  }

  async #context(mutual: boolean, timeoutMs: number): Promise<TlsContext> {
    if (!mutual) return (this.#plainTls ??= TlsContext.create({}));
    const certificate = await this.#options.certificates.fetch(this.#options.identity, AbortSignal.timeout(Math.ceil(timeoutMs)));
    return certificate.context;
  }
}
