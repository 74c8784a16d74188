import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { SpanCollector } from "./span-collector.ts";
import { everyStatistic, TestProxy } from "./test-proxy.ts";

/**
 * A proxy, an application behind it, and a collector for its telemetry. The configuration decides which of them it
 * uses.
 */
export interface CollectedProxy extends AsyncDisposable {
  readonly proxy: TestProxy;
  readonly collector: SpanCollector;
  readonly appPort: number;
}

export async function startCollectedProxy(answer: RequestListener): Promise<CollectedProxy> {
  const collector = await SpanCollector.start();
  const app = createServer(answer);
  await new Promise<void>((resolve) => app.listen(0, "127.0.0.1", resolve));
  const proxy = await TestProxy.start({
    name: "web",
    role: "router",
    authority: new FakeCertificateAuthority(),
    proxyConfig: everyStatistic,
  });
  return {
    proxy,
    collector,
    appPort: (app.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      await proxy[Symbol.asyncDispose]();
      await collector[Symbol.asyncDispose]();
      app.closeAllConnections();
      app.close();
    },
  };
}
