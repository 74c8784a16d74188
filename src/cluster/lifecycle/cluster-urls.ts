import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Environment } from "../../base/index.ts";
import type { ServiceUrl } from "../supervisor/index.ts";
import { requireRunningCluster } from "../record/index.ts";

/** The loopback address of each LoadBalancer port, for a browser on this machine. */
export function clusterUrls(name: string, env: Environment): ServiceUrl[] {
  const { directory } = requireRunningCluster(env, name);
  try {
    return JSON.parse(readFileSync(join(directory, "urls.json"), "utf8")) as ServiceUrl[];
  } catch {
    return [];
  }
}
