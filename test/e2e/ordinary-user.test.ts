// A user without rights, with only HOME and PATH in the environment, types the lines of the README's section "By hand".
// A cluster, pods, Services, a mesh and a gateway run with a single uid.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, describe, test } from "node:test";
import { eventually } from "../support/eventually.ts";
import { GatewayLoad } from "../support/gateway-load.ts";
import { LabCluster, root, serin } from "../support/lab-cluster.ts";

const isRoot = process.getuid?.() === 0;
/** A uid that no account of the machine has. */
const stranger = 54_321;
const scratch = mkdtempSync(join(tmpdir(), "serin-user-"));
const releaseRoot = isRoot ? readableCopy() : root;
const lab = new LabCluster("lab", isRoot ? { uid: stranger, releaseRoot } : {});

/**
 * Copies the checkout, because root's may be in a directory that others cannot enter. The copy belongs to root too, so
 * the user can only read it. Links to the sources would change their times, and the checkout would need a new bundle.
 */
function readableCopy(): string {
  chmodSync(scratch, 0o755);
  const copy = join(scratch, "serin");
  const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string };
  execFileSync(serin, ["release", "build", copy, "--version", version]);
  rmSync(join(copy, "node_modules"));
  for (const part of ["scripts", "node_modules"]) {
    try {
      execFileSync("cp", ["-al", join(root, part), copy], { stdio: "ignore" });
    } catch {
      // Hard links do not work from one file system to another.
      execFileSync("cp", ["-a", join(root, part), copy]);
    }
  }
  return copy;
}

const ok = lab.ok.bind(lab);

const [, block = ""] = /^## By hand\n[^]*?```\n([^]*?)```$/m.exec(readFileSync(join(root, "README.md"), "utf8")) ?? [];
const lines = block.split("\n").filter((line) => line !== "");
const entered = lines.findIndex((line) => line.startsWith("bin/serin cluster shell"));
const left = lines.indexOf("exit");

/** Types a line of the README outside the lab, in the directory of the release. */
const type = async (line: string): Promise<string> => await ok(["bash", "-c", `cd ${releaseRoot} && ${line}`]);

async function typeInShell(line: string): Promise<string> {
  const { code, output } = await lab.shell(`cd ${releaseRoot} && ${line}`);
  assert.equal(code, 0, `${line}\n${output}`);
  return output;
}

describe("as an ordinary user", { concurrency: 1 }, () => {
  after(async () => {
    await lab.delete();
    rmSync(scratch, { recursive: true, force: true });
  });

  test("the doctor finds nothing, and a cluster is created with a kubeconfig that only the user can read", async () => {
    await ok([lab.serin, "doctor"]);
    assert.match(lines[0] ?? "", /^bin\/serin cluster create --name lab/);
    await type(lines[0] ?? "");
    assert.equal(statSync(join(dirname(lab.directory), ".kube/config")).mode & 0o777, 0o600);
    assert.match(await ok(["kubectl", "get", "nodes"]), /(lab-\S+ +Ready.*\n){3}/);
  });

  test("a pod runs as the only user, can be entered, and reports which requested user it did not get", async () => {
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "one" },
      spec: {
        containers: [
          {
            name: "one",
            image: "curlimages/curl",
            command: ["/bin/sleep", "infinity"],
            securityContext: { runAsUser: 1000 },
          },
        ],
      },
    };
    await ok(["kubectl", "apply", "-f", "-"], JSON.stringify(pod));
    await ok(["kubectl", "wait", "--for=condition=Ready", "pod/one", "--timeout=30s"]);
    assert.match(
      await ok(["kubectl", "exec", "one", "--", "cat", "/proc/self/uid_map"]),
      new RegExp(`^ +0 +${isRoot ? stranger : process.getuid?.()} +1$`, "m"),
    );
    assert.match(
      await ok(["kubectl", "get", "events", "--field-selector", "reason=IdentityNotApplied"]),
      /runAsUser 1000 not applied/,
    );
  });

  test("the README's lines install the mesh and bookinfo, whose page answers as the README shows", async () => {
    for (const line of lines.slice(1, entered)) await type(line);
    let output = "";
    for (const line of lines.slice(entered + 1, left)) {
      if (line.startsWith("# ")) assert.ok(output.includes(line.slice(2)), output);
      else output = await typeInShell(line);
    }
    assert.match(output, /istiod-/);
  });

  test("bookinfo answers through the gateway and between pods, with identities", async () => {
    const address = await ok([
      "kubectl",
      "get",
      "gateway",
      "bookinfo-gateway",
      "-o",
      "jsonpath={.status.addresses[0].value}",
    ]);
    const url = `http://${address}/productpage`;
    await ok(["kubectl", "apply", "-f", join(releaseRoot, "samples/sleep/sleep.yaml")]);
    await ok(["kubectl", "rollout", "status", "deployment/sleep", "--timeout=60s"]);
    const load = new GatewayLoad(lab, url, { releaseRoot });
    await load.more(50);
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.match(
      await ok([
        "kubectl",
        "exec",
        "deploy/sleep",
        "--",
        "curl",
        "-s",
        "-m",
        "5",
        "http://productpage:9080/productpage",
      ]),
      /Simple Bookstore App/,
    );
    const log = await ok(["kubectl", "logs", "--namespace", "istio-system", "--selector", "app=ztunnel", "--tail=-1"]);
    assert.match(
      log,
      /src\.identity="spiffe:\/\/cluster\.local\/ns\/default\/sa\/sleep".*dst\.identity="spiffe:\/\/cluster\.local\/ns\/default\/sa\/bookinfo-productpage"/,
    );
  });

  test("the browser's address works outside of the lab", async () => {
    const urls = await ok([lab.serin, "cluster", "urls", "--json"]);
    const found = (JSON.parse(urls) as { url: string; service: string; port: number }[]).find(
      ({ service, port }) => service.endsWith("bookinfo-gateway-istio") && port === 80,
    );
    const answer = await fetch(`${found?.url}/productpage`);
    assert.match(await answer.text(), /Simple Bookstore App/);
  });

  test("kill -9 of the launcher leaves no process, and the next creation works", async () => {
    const [launcher] = lab.ofRole("cluster-launcher");
    assert.ok(launcher);
    process.kill(launcher.pid, "SIGKILL");
    await eventually("every process of the lab is gone", () => lab.processes().length === 0);
    const created = await lab.createOneNode();
    assert.equal(created.code, 0, created.output);
    await type(lines.slice(left + 1).join("; "));
    await eventually("every process of the lab is gone", () => lab.processes().length === 0);
  });
});
