import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { programFile } from "../../base/index.ts";
import { until } from "../../base/testing/index.ts";
import { FakeCertificateAuthority } from "../../dataplane/index.ts";
import { TestProxy } from "../testing/test-proxy.ts";
import { WorkerSet } from "./index.ts";

test("a worker counts a promise that is rejected without a handler, and continues", async () => {
  const file = programFile("src/proxy/workers/data-path.worker.ts").href;
  const code = `import ${JSON.stringify(file)};
    void Promise.reject(new Error("nobody looks"));`;
  await using proxy = await TestProxy.start({
    name: "gateway",
    role: "router",
    authority: new FakeCertificateAuthority(),
    serve: (data) =>
      new WorkerSet({
        count: 2,
        data,
        spawn: (start) =>
          new Worker(new URL(`data:text/javascript,${encodeURIComponent(code)}`), {
            workerData: start,
            execArgv: ["--disable-warning=ExperimentalWarning"],
          }),
      }),
  });
  await until(async () => {
    const counts = await proxy.samples("serin_contained_errors_total");
    return counts.reduce((sum, { value }) => sum + value, 0) === 2;
  });
});
