import { randomUUID } from "node:crypto";
import { systemClock } from "../../../src/base/index.ts";
import { podKind, type Pod } from "../../../src/api/kubernetes/index.ts";
import { execInPod, podLogPath } from "../../../src/kube/index.ts";
import type { Lab } from "../lab.ts";
import { namespaces, revisions, type Act } from "../stage.ts";
import { labOf } from "./lab-and-mesh.ts";

/** The time limit of a capture. Usually the capture ends earlier, when the requests are answered. */
const captureLimitSeconds = 300;
const requests = 10;
/**
 * The time limit of a request. It is long, because a slow request on a busy machine proves as much about the bytes on
 * the wire as a fast one.
 */
const requestLimitSeconds = 60;

/**
 * Shows both peers' identities in ztunnel's access log, and that a capture of the node's link does not contain the
 * requests' unique header in plain text.
 */
export const proveMutualTls: Act = {
  name: "mTLS, seen on the wire",
  async play(stage) {
    const lab = labOf(stage);
    const needle = `needle-${randomUUID()}`;
    const [sleep, page] = await Promise.all([podOf(lab, "sleep"), podOf(lab, "productpage")]);
    const url = "http://productpage:9080/productpage";
    const curl = [
      "sh",
      "-c",
      `for i in $(seq ${requests}); do curl -s -m ${requestLimitSeconds} -o /dev/null -w '%{http_code} ' -H 'x-request-id: ${needle}' ${url}; done`,
    ];
    const capture = await startCapture(lab, page.spec?.nodeName ?? "", needle);
    const statuses = await runIn(lab, sleep, curl);
    if (statuses.trim() !== Array.from({ length: requests }, () => "200").join(" "))
      throw new Error(`sleep -> productpage answered ${statuses}`);
    const found = await capture();
    stage.note(await identitiesInLog(lab));
    stage.note(
      `on the link of ${page.spec?.nodeName ?? ""}: ${found.frames} frames, ${found.hboneFrames} of HBONE, ${found.matches} that contain the request`,
    );
    if (found.matches > 0) throw new Error(`${found.matches} frames on the link contain the request in plain text`);
    if (found.hboneFrames === 0)
      throw new Error("no frame of HBONE was seen on the link, so the capture proves nothing");
  },
};

async function podOf(lab: Lab, app: string): Promise<Pod> {
  return await lab.until(`a pod of ${app} runs`, async () => {
    const { items } = await lab.client.list(podKind, { namespace: namespaces.stable, labelSelector: `app=${app}` });
    return items.find(({ status }) => status?.phase === "Running");
  });
}

async function runIn(lab: Lab, pod: Pod, command: readonly string[]): Promise<string> {
  let output = "";
  const { metadata } = pod;
  const collect = (chunk: Buffer): void => {
    output += chunk.toString("utf8");
  };
  const running = await execInPod({
    config: lab.config,
    clock: systemClock,
    namespace: metadata.namespace ?? "",
    pod: metadata.name ?? "",
    command,
    onStdout: collect,
    onStderr: collect,
  });
  await running.exited;
  return output;
}

/** Returns an access log line of the old revision in which both ends have a SPIFFE identity. */
async function identitiesInLog(lab: Lab): Promise<string> {
  return await lab.until("ztunnel's access log names both identities", async () => {
    const { items } = await lab.client.list(podKind, {
      namespace: namespaces.gateway,
      labelSelector: `app=ztunnel,istio.io/rev=${revisions.old}`,
    });
    for (const { metadata } of items) {
      const { text } = await lab.client.raw(
        "GET",
        podLogPath({ namespace: namespaces.gateway, name: metadata.name ?? "" }, { tailLines: "400" }),
        { accept: "*/*" },
      );
      const line = text
        .split("\n")
        .find(
          (candidate) =>
            /src\.identity="?spiffe:\S+\/sa\/sleep/.test(candidate) &&
            /dst\.identity="?spiffe:\S+productpage/.test(candidate),
        );
      if (line !== undefined) {
        const [, source = ""] = /src\.identity="?(spiffe:[^"\s]+)/.exec(line) ?? [];
        const [, destination = ""] = /dst\.identity="?(spiffe:[^"\s]+)/.exec(line) ?? [];
        return `${source} -> ${destination}`;
      }
    }
    return undefined;
  });
}

interface Captured {
  readonly frames: number;
  readonly hboneFrames: number;
  readonly matches: number;
}

/** Starts a capture on the node's link. The returned function ends it and returns what it counted. */
async function startCapture(lab: Lab, node: string, text: string): Promise<() => Promise<Captured>> {
  const name = "capture";
  await lab.client.delete(podKind, name, "default", { gracePeriodSeconds: 0 });
  await lab.until("the former capture is deleted", async () =>
    (await lab.client.get(podKind, name, "default")) === undefined ? true : undefined,
  );
  const pod = await lab.client.create(podKind, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: {
      nodeName: node,
      hostNetwork: true,
      restartPolicy: "Never",
      tolerations: [{ operator: "Exists" }],
      containers: [
        {
          name,
          image: "serin/packet-search",
          args: ["eth0", text, String(captureLimitSeconds)],
          securityContext: { privileged: true },
        },
      ],
    },
  });
  const log = async (): Promise<string> => {
    const { status, text: found } = await lab.client
      .raw("GET", `/api/v1/namespaces/default/pods/${name}/log`, { accept: "*/*" })
      .catch(() => ({ status: 0, text: "" }));
    return status === 200 ? found : "";
  };
  const program = await lab.until("the capture listens", async () => /listening as (\d+)/.exec(await log())?.[1]);
  return async () => {
    await runIn(lab, pod, ["kill", "-TERM", program]);
    const line = await lab.until("the capture has ended", async () =>
      (await log()).split("\n").find((candidate) => candidate.startsWith("{")),
    );
    await lab.client.delete(podKind, name, "default", { gracePeriodSeconds: 0 });
    return JSON.parse(line) as Captured;
  };
}
