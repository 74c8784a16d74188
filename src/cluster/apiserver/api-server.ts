import { join } from "node:path";
import {
  aborted,
  systemClock,
  systemRandom,
  type Clock,
  type Logger,
  type Random,
  type Shutdown,
} from "../../base/index.ts";
import { AdmissionChain, builtInAdmission } from "../admission/index.ts";
import { Authenticator, NodeAuthorizer, RbacAuthorizer, ServiceAccountTokens } from "../auth/index.ts";
import type { SchemaRegistry } from "../schema/contract.ts";
import { Store } from "../store/index.ts";
import { AuditLog } from "./audit-log.ts";
import { SystemObjects } from "./system-objects.ts";
import type { ServerParts } from "./context.ts";
import { serveDefinitions } from "./custom-resources.ts";
import { Discovery } from "./discovery.ts";
import { Encoder } from "./encoder.ts";
import { Listeners, type ListenTarget } from "./listeners.ts";
import { NodeClient } from "./node-client.ts";
import { QuotaStatus } from "./quota-status.ts";
import { Router } from "./router.ts";
import { ServiceAllocator } from "./service-allocator.ts";
import { UnreadAnswers } from "./unread-answers.ts";
import { Upkeep } from "./upkeep.ts";
import { Writer } from "./writer.ts";

export interface ApiServerOptions {
  /** The directory of `objects.db` and `audit.log`. */
  readonly stateDirectory: string;
  readonly listen: readonly ListenTarget[];
  /** The certificate of the cluster's CA. All certificates and keys here are in PEM. */
  readonly caCertificate: string;
  readonly serverCertificate: string;
  readonly serverKey: string;
  readonly serviceAccountKey: string;
  readonly nodeClientCertificate: string;
  readonly nodeClientKey: string;
  /** The range of cluster IPs, such as 10.96.0.0/16. */
  readonly serviceCidr: string;
  /**
   * The address and port that pods reach through the Service `kubernetes`. The default port is that of the first
   * listener.
   */
  readonly advertise: { readonly address: string; readonly port?: number };
  /** How long the server stores an Event after its last change. The default is one hour. */
  readonly eventTtlMs?: number | undefined;
  /**
   * The maximum number of bytes that wait in the server because clients do not read them, for all answers together. The
   * default is 256 MiB.
   */
  readonly maxUnreadBytes?: number;
  /** Whether nodes may have loopback addresses, as in tests. */
  readonly allowsInsideNodes?: boolean;
  readonly registry: SchemaRegistry;
  readonly log: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface BoundAddress {
  readonly host: string;
  readonly port: number;
}

const closeGraceMs = 2000;
const auditFile = "audit.log";
const unreadLookMs = 1000;

/** A Kubernetes API server. {@link run} serves until the process is asked to shut down. */
export class ApiServer {
  readonly #options: ApiServerOptions;

  constructor(options: ApiServerOptions) {
    this.#options = options;
  }

  /** Calls `ready` once with the bound addresses, when the server answers requests and the initial objects exist. */
  async run(shutdown: Shutdown, ready: (addresses: readonly BoundAddress[]) => void = () => undefined): Promise<void> {
    const options = this.#options;
    const { registry, log } = options;
    const broken = Promise.withResolvers<never>();
    // Mark the rejection as handled, because no other code may wait for the promise yet.
    broken.promise.catch(() => undefined);
    const store = Store.open({ path: join(options.stateDirectory, "objects.db"), log, broken: broken.reject });
    const parts = partsOf(options, store, shutdown.drain);
    const writer = new Writer(parts);
    using _definitions = serveDefinitions(store, registry, (name, errors) => {
      log.warn("a custom resource definition cannot be served", {
        name,
        errors: errors.map((error) => `${error.field}: ${error.message}`).join("; "),
      });
    });
    let address = `${options.advertise.address}:${options.advertise.port ?? 0}`;
    const router = new Router(
      parts,
      writer,
      new Discovery(registry, () => address),
      new Authenticator(parts.tokens),
      new UnreadAnswers(options.maxUnreadBytes),
    );
    const look = setInterval(() => router.endUnread(), unreadLookMs).unref();
    const files = { certificate: options.serverCertificate, key: options.serverKey, clientCa: options.caCertificate };
    const listeners = new Listeners(files, {
      request: (request, response) => void router.handle(request, response),
      upgrade: (request, socket, head) => void router.handleUpgrade(request, socket, head),
    });
    using upkeep = new Upkeep(parts, writer, options.eventTtlMs);
    using quotas = new QuotaStatus(parts, writer);
    try {
      const bound: BoundAddress[] = [];
      for (const target of options.listen) bound.push(await listeners.listen(target));
      const port = options.advertise.port ?? bound[0]?.port ?? 6443;
      address = `${options.advertise.address}:${port}`;
      using systemObjects = new SystemObjects(parts, writer, { address: options.advertise.address, port });
      await systemObjects.start();
      await upkeep.start();
      quotas.start();
      ready(bound);
      await Promise.race([aborted(shutdown.drain), broken.promise]);
    } finally {
      clearInterval(look);
      await listeners.close(closeGraceMs, shutdown.force);
      await store.close();
    }
  }
}

function partsOf(options: ApiServerOptions, store: Store, stopping: AbortSignal): ServerParts {
  const { registry, log, clock = systemClock, random = systemRandom } = options;
  const authorizer = new NodeAuthorizer(store, new RbacAuthorizer(store));
  const tokens = new ServiceAccountTokens(options.serviceAccountKey, store, clock);
  return {
    store,
    registry,
    clock,
    random,
    log,
    tokens,
    stopping,
    caCertificate: options.caCertificate,
    encoder: new Encoder(registry, clock),
    audit: new AuditLog(join(options.stateDirectory, auditFile), clock, log),
    admission: new AdmissionChain(builtInAdmission({ store, authorizer, registry, clock, random, log })),
    authorizer,
    services: new ServiceAllocator(store, options.serviceCidr, random),
    nodes: new NodeClient({
      certificate: options.nodeClientCertificate,
      key: options.nodeClientKey,
      ca: options.caCertificate,
    }),
    allowsInsideNodes: options.allowsInsideNodes ?? false,
  };
}
