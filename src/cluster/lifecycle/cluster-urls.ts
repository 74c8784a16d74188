import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../../base/index.ts";
import type { ServiceUrl } from "../supervisor/index.ts";
import { requireRunningCluster } from "../record/index.ts";

/** For each port of LoadBalancer Services, the URL on a loopback address of this machine, for a browser. */
export function clusterUrls(name: string, env: Environment): ServiceUrl[] {
  const { directory } = requireRunningCluster(env, name);
  try {
    return JSON.parse(readFileSync(join(directory, "urls.json"), "utf8")) as ServiceUrl[];
  } catch {
    return [];
  }
}
