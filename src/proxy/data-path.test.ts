import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, toBinary, type DescMessage, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { seededRandom, silentLogger, systemClock } from "../base/index.ts";
import { until } from "../base/testing/index.ts";
import { CertificateManager, FakeCertificateAuthority } from "../dataplane/index.ts";
import { listenTcp } from "../net/index.ts";
import { freePort, TestAuthority } from "../net/testing/index.ts";
import { MetricsRegistry } from "../telemetry/index.ts";
import {
  ClusterSchema,
  envoyRegistry,
  ListenerSchema,
  RouteConfigurationSchema,
  SecretSchema,
} from "../wire/envoy/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { DataPath } from "./data-path.ts";
import { identityOf, readSettings } from "./proxy-settings.ts";
import { httpListener, weightedRoute } from "./testing/ads-server.ts";
import { blackHole, downstreamTls, gatewayTls } from "./testing/mesh-config.ts";
import { randomUuids } from "./terms/random-id.ts";

/** A data path that is not started, so it does not check its state once a second. */
class QuietDataPath implements Disposable {
  readonly #dataPath: DataPath;
  readonly #certificates: CertificateManager;

  private constructor(certificates: CertificateManager, readFile: () => Promise<string>) {
    this.#certificates = certificates;
    this.#dataPath = new DataPath({
      settings,
      certificates,
      registry: new MetricsRegistry(),
      listen: listenTcp,
      resolve: () => Promise.resolve({ addresses: ["127.0.0.1"] }),
      readFile,
      newRequestId: randomUuids((bytes) => bytes),
      log: silentLogger,
      clock: systemClock,
      random: seededRandom(1),
      startedMs: 0,
    });
    this.#dataPath.attach({ setNames: () => undefined });
  }

  static async open(readFile: () => Promise<string>): Promise<QuietDataPath> {
    const certificates = new CertificateManager({ authority: new FakeCertificateAuthority(), log: silentLogger });
    await certificates.fetch(identityOf(settings));
    return new QuietDataPath(certificates, readFile);
  }

  async apply(typeUrl: string, schema: DescMessage, name: string, value: JsonValue): Promise<void> {
    const body = toBinary(schema, fromJson(schema, value, { registry: envoyRegistry() }));
    const subscription = this.#dataPath.subscriptions().find((one) => one.typeUrl === typeUrl);
    await subscription?.apply({
      typeUrl,
      resources: [{ name, version: "1", body, aliases: [], typeUrl }],
      removed: [],
    });
  }

  /**
   * Gives the data path a listener with this transport socket, and the cluster and the route that the listener needs,
   * but no secrets.
   */
  async serve(transportSocket: JsonValue): Promise<void> {
    const port = await freePort();
    const listener = httpListener(port, "web") as { readonly filterChains: readonly JsonObject[] } & JsonObject;
    const filterChains = listener.filterChains.map((chain) => ({ ...chain, transportSocket }));
    await this.apply(typeUrls.cluster, ClusterSchema, "BlackHoleCluster", blackHole);
    await this.apply(typeUrls.listener, ListenerSchema, `listener_${port}`, { ...listener, filterChains });
    await this.apply(typeUrls.route, RouteConfigurationSchema, "web", weightedRoute("web", { BlackHoleCluster: 1 }));
  }

  async pending(): Promise<readonly string[]> {
    return (await this.#dataPath.status()).pending;
  }

  [Symbol.dispose](): void {
    this.#dataPath.stopListening();
    this.#dataPath.closeAll();
    this.#certificates.close();
  }
}

const settings = readSettings({
  env: { INSTANCE_IP: "127.0.0.1" },
  args: ["proxy", "router"],
  version: "1.2.3",
  labelsFile: "",
});

const inline = (text: string): JsonValue => ({ inlineBytes: Buffer.from(text).toString("base64") });

test("a listener begins when the file with the mesh's revocation lists was read, if that comes last", async () => {
  const file = Promise.withResolvers<string>();
  using dataPath = await QuietDataPath.open(() => file.promise);
  await dataPath.serve(downstreamTls(["http/1.1"]));
  assert.match((await dataPath.pending()).join(), /secret ROOTCA/);
  file.reject(Object.assign(new Error("no such file"), { code: "ENOENT" }));
  await until(async () => (await dataPath.pending()).length === 0);
});

test("a listener begins when the control plane sends the secret that it waits for", async () => {
  using dataPath = await QuietDataPath.open(() => Promise.reject(new Error("no such file")));
  await dataPath.serve(gatewayTls("kubernetes://web"));
  assert.match((await dataPath.pending()).join(), /secret kubernetes:\/\/web/);
  const { certificateChain, privateKey } = await (await TestAuthority.create()).issue({ dns: "web.test" });
  await dataPath.apply(typeUrls.secret, SecretSchema, "kubernetes://web", {
    name: "kubernetes://web",
    tlsCertificate: { certificateChain: inline(certificateChain), privateKey: inline(privateKey) },
  });
  await until(async () => (await dataPath.pending()).length === 0);
});
