import { busyboxImage } from "../base-images.ts";
import type { Bench, Case } from "../bench.ts";
import { nodeNumbers, podRange } from "../cluster-layout.ts";
import { deploymentObject, namespaceObject } from "../objects.ts";
import { shop } from "./bookinfo.ts";

export const outside = "outside";
const details = `http://details.${shop}:9080/details/0`;
/** The first four bytes after a TCP header with time stamps: `GET ` or `HTTP`. */
const plainText = "@th,256,32 { 0x47455420, 0x48545450 }";
const betweenPods = `ip saddr ${podRange} ip daddr ${podRange}`;

/** Rules that count packets from pod to pod on each node, where they leave a pod's veth. */
const rules = `table ip wire {
  counter hbone { }
  counter plain { }
  chain forward {
    type filter hook forward priority -300;
    ${betweenPods} tcp dport 15008 counter name hbone
    ${betweenPods} meta l4proto tcp ${plainText} counter name plain
  }
}`;

export const wireCase: Case = {
  name: "wire",
  title: "the network carries only HBONE between pods of the mesh, and each end knows the other's identity",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster, load } = bench;
    for (const number of nodeNumbers) await cluster.nodes[number].ok(["nft", "-f", "-"], { input: rules });
    await load.more(150);
    const [hbone, plain] = await counted(bench);
    if (hbone === 0 || plain !== 0) throw new Error(`${hbone} packets of HBONE and ${plain} of plain HTTP`);
    await cluster.api.apply([
      namespaceObject(outside),
      deploymentObject({ name: "client", namespace: outside, image: busyboxImage, command: ["sleep", "infinity"] }),
    ]);
    await cluster.available(outside);
    await askFromOutside(bench);
    const [, packets] = await counted(bench);
    if (packets === 0) throw new Error("the counter does not see plain HTTP: a pod outside of the mesh has asked");
    const log = await cluster.kubectl("logs", "-n", "istio-system", "-l", "app=ztunnel", "--tail=400");
    const identity = (account: string): string => `spiffe://cluster.local/ns/${shop}/sa/${account}`;
    const line = log
      .split("\n")
      .find(
        (text) =>
          text.includes(`src.identity="${identity("bookinfo-productpage")}"`) &&
          text.includes(`dst.identity="${identity("bookinfo-reviews")}"`),
      );
    if (line === undefined) throw new Error("no ztunnel tells of a connection with both identities");
    for (const number of nodeNumbers) await cluster.nodes[number].ok(["nft", "delete", "table", "ip", "wire"]);
    return `${hbone} packets of HBONE, 0 of plain HTTP; ${packets} of plain HTTP once a pod outside asks; both identities are logged`;
  },
};

/** Sends a request to bookinfo's details from a pod outside the mesh. Returns the answer, or throws. */
export async function askFromOutside({ cluster }: Bench): Promise<string> {
  return await cluster.answer({ namespace: outside, pod: "deploy/client" }, details);
}

async function counted({ cluster }: Bench): Promise<[hbone: number, plain: number]> {
  const sums: [number, number] = [0, 0];
  for (const number of nodeNumbers) {
    const text = await cluster.nodes[number].ok(["nft", "list", "counters", "table", "ip", "wire"]);
    for (const [index, name] of ["hbone", "plain"].entries())
      sums[index] =
        (sums[index] ?? 0) + Number(new RegExp(`counter ${name} \\{\\s*packets (\\d+)`).exec(text)?.[1] ?? 0);
  }
  return sums;
}
