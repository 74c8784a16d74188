import { chmod, mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { aborted, type Clock, type Logger } from "../../base/index.ts";
import {
  addCertificateMetrics,
  CertificateManager,
  listenHttp,
  metricsRoute,
  type CertificateAuthority,
  type EndpointRoute,
  type HttpEndpoint,
} from "../../dataplane/index.ts";
import { XdsRelay } from "../../dataplane/xds-relay/index.ts";
import { MetricsRegistry, renderPrometheus } from "../../telemetry/index.ts";
import { CertificateFiles } from "../agent/certificate-files.ts";
import { mergedMetricsRoute } from "../agent/merged-metrics.ts";
import { replaceFile } from "../agent/replace-file.ts";
import { identityOf, type ProxySettings } from "../proxy-settings.ts";
import { grpcBootstrap } from "./grpc-bootstrap.ts";
import type { ProxylessPaths } from "./proxyless-paths.ts";

export interface ProxylessAgentOptions {
  readonly settings: ProxySettings;
  readonly paths: ProxylessPaths;
  readonly authority: CertificateAuthority;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * The agent of an application whose gRPC library speaks xDS itself. It writes gRPC's bootstrap file, passes xDS
 * requests from a Unix socket on to the control plane, and keeps the workload's certificate in files. No traffic passes
 * through the agent.
 */
export class ProxylessAgent {
  readonly #options: ProxylessAgentOptions;
  readonly #relay: XdsRelay;
  readonly #registry = new MetricsRegistry();
  #listens = false;
  #certified: boolean;

  constructor(options: ProxylessAgentOptions) {
    this.#options = options;
    const { settings, paths, log } = options;
    this.#certified = settings.certificateOutput === undefined;
    this.#relay = new XdsRelay({
      address: `unix:${paths.socket}`,
      endpoint: {
        url: settings.xdsUrl,
        ...(settings.xdsRootFile === undefined ? {} : { rootCertificateFile: settings.xdsRootFile }),
        tokenFile: settings.tokenFile,
        headers: { clusterid: settings.clusterId },
        compliance: settings.compliance,
      },
      log,
    });
  }

  async run(signal: AbortSignal): Promise<void> {
    const { settings, paths } = this.#options;
    const endpoint = await listenHttp({
      address: "0.0.0.0",
      port: settings.ports.stats,
      routes: { "/healthz/ready": this.#readiness(), "/stats/prometheus": this.#metrics() },
    });
    const certificates = this.#certificates();
    if (certificates !== undefined) addCertificateMetrics(this.#registry, certificates);
    try {
      await this.#open(paths);
      certificates?.prefetch(identityOf(settings));
      await aborted(signal);
    } finally {
      await this.#close(endpoint, certificates);
    }
  }

  async #open({ bootstrapFile, socket }: ProxylessPaths): Promise<void> {
    await mkdir(dirname(bootstrapFile), { recursive: true });
    // Remove the socket of an earlier process, which would make the address look used.
    await rm(socket, { force: true });
    await this.#relay.listen();
    // Let every user open the socket, because the application may run as any user.
    await chmod(socket, 0o666);
    const bootstrap = grpcBootstrap(this.#options.settings, this.#options.paths);
    await replaceFile(bootstrapFile, `${JSON.stringify(bootstrap, null, 2)}\n`);
    this.#listens = true;
  }

  async #close(endpoint: HttpEndpoint, certificates: CertificateManager | undefined): Promise<void> {
    this.#relay.close();
    certificates?.close();
    await endpoint.close();
  }

  #certificates(): CertificateManager | undefined {
    const { authority, clock, log, settings } = this.#options;
    const { certificateOutput } = settings;
    if (certificateOutput === undefined) return undefined;
    const files = new CertificateFiles(certificateOutput, log);
    return new CertificateManager({
      authority,
      clock,
      log,
      validitySeconds: settings.secretTtlSeconds,
      onCertificate: (certificate) => {
        void files.write(certificate).then((written) => {
          if (written) this.#certified = true;
        });
      },
    });
  }

  /** Serves the agent's own metrics together with the application's, whose address the injector has moved here. */
  #metrics(): EndpointRoute {
    const { settings, log } = this.#options;
    return mergedMetricsRoute({
      own: metricsRoute((names) => renderPrometheus(this.#registry, names)),
      apps: settings.appMetrics,
      address: settings.instanceIp,
      registry: this.#registry,
      log,
    });
  }

  #readiness(): EndpointRoute {
    return () => {
      const pending = [
        ...(this.#listens ? [] : ["the socket for discovery"]),
        ...(this.#certified ? [] : ["the workload's certificate"]),
      ];
      return pending.length === 0
        ? { status: 200, body: "ready\n" }
        : { status: 503, body: `not ready, pending: ${pending.join(", ")}\n` };
    };
  }
}
