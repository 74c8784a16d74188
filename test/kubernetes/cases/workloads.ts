import { jobKind } from "../../../src/api/kubernetes/index.ts";
import { eventually } from "../../support/eventually.ts";
import { busyboxImage } from "../base-images.ts";
import type { Bench, Case } from "../bench.ts";
import { ambient, deploymentObject, namespaceObject, podTemplate, serviceObject } from "../objects.ts";
import { boundedGet } from "../real-cluster.ts";
import { shop } from "./bookinfo.ts";
import { applyText } from "./policies.ts";

const many = "many";
const details = `http://details.${shop}:9080/details/0`;
const serve = [
  "sh",
  "-c",
  "mkdir -p /tmp/www && hostname > /tmp/www/index.html 2>/dev/null || cat /etc/hostname > /tmp/www/index.html; exec httpd -f -p 8080 -h /tmp/www",
];

export interface JobWords {
  readonly name: string;
  readonly namespace: string;
  readonly completions: number;
  readonly parallelism: number;
  /** The shell command of each pod. If it fails in one, the Job fails. */
  readonly command: string;
}

/** Runs a Job to its end. Throws unless every pod has succeeded. */
export async function job(
  { cluster }: Bench,
  { name, namespace, completions, parallelism, command }: JobWords,
): Promise<void> {
  const template = podTemplate({
    name,
    namespace,
    image: busyboxImage,
    command: ["sh", "-c", command],
    pod: { restartPolicy: "Never" },
  });
  const spec = { completions, parallelism, backoffLimit: 0, template };
  await cluster.api.apply([{ apiVersion: "batch/v1", kind: "Job", metadata: { name, namespace }, spec }]);
  const done = await eventually(
    `job ${name} has ended`,
    async () => {
      const { status } = (await cluster.api.client.get(jobKind, name, namespace)) ?? {};
      return (status?.succeeded ?? 0) + (status?.failed ?? 0) >= completions || (status?.failed ?? 0) > 0
        ? status
        : undefined;
    },
    420_000,
  );
  if (done.succeeded !== completions)
    throw new Error(
      `${done.succeeded ?? 0} of ${completions} pods of job ${name} succeeded, ${done.failed ?? 0} failed`,
    );
}

export const jobsCase: Case = {
  name: "jobs",
  title: "Jobs send a request as soon as they start, and then end",
  after: ["bookinfo"],
  async run(bench) {
    await bench.cluster.api.apply([namespaceObject(many, ambient)]);
    const command = boundedGet(details, 5).join(" ");
    await job(bench, { name: "ask-once", namespace: many, completions: 8, parallelism: 4, command });
    return "8 of 8 pods were answered";
  },
};

export const churnCase: Case = {
  name: "churn",
  title: "200 pods start, send one request each, and end",
  after: ["jobs"],
  async run(bench) {
    const command = boundedGet(details, 10).join(" ");
    await job(bench, { name: "churn", namespace: many, completions: 200, parallelism: 20, command });
    return "200 of 200 pods were answered";
  },
};

export const statefulSetCase: Case = {
  name: "statefulset",
  title: "each pod of a StatefulSet answers requests to its own name",
  after: ["jobs"],
  async run(bench) {
    const { cluster } = bench;
    await applyText(bench, [
      serviceObject("set", many, 8080, { headless: true }),
      {
        apiVersion: "apps/v1",
        kind: "StatefulSet",
        metadata: { name: "set", namespace: many },
        spec: {
          serviceName: "set",
          replicas: 2,
          selector: { matchLabels: { app: "set" } },
          template: podTemplate({ name: "set", namespace: many, image: busyboxImage, command: serve }),
        },
      },
    ]);
    await cluster.kubectl("rollout", "status", "statefulset/set", "-n", many, "--timeout=120s");
    for (const name of ["set-0", "set-1"])
      await eventually(`${name} answers by its name`, async () => {
        const url = `http://${name}.set.${many}:8080/`;
        const { output } = await cluster.ask({ namespace: shop, pod: "deploy/load" }, url);
        return output.includes(name);
      });
    return "set-0 and set-1 answer";
  },
};

export const hostNetworkCase: Case = {
  name: "hostnetwork",
  title: "a pod in its node's network sends requests to the mesh, and gets requests from it",
  after: ["jobs"],
  async run(bench) {
    const { cluster } = bench;
    await applyText(bench, [
      deploymentObject({
        name: "host",
        namespace: many,
        image: busyboxImage,
        command: ["httpd", "-f", "-p", "18080", "-h", "/etc"],
        pod: { hostNetwork: true, dnsPolicy: "ClusterFirstWithHostNet" },
      }),
      serviceObject("host", many, 18080),
      deploymentObject({ name: "web", namespace: many, image: busyboxImage, command: serve }),
      serviceObject("web", many, 8080),
    ]);
    await cluster.available(many);
    await cluster.answer({ namespace: many, pod: "deploy/host", seconds: 5 }, `http://web.${many}:8080/`);
    const web = { namespace: many, pod: "deploy/web", seconds: 5 };
    const answer = await cluster.answer(web, `http://host.${many}:18080/passwd`);
    if (!answer.includes("root:")) throw new Error(`the pod in its node's network answered: ${answer}`);
    return "both ways are served";
  },
};
