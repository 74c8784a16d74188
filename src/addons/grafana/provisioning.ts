import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { messageOf, type Logger } from "../../base/index.ts";
import { readDashboard, type Dashboard } from "./dashboard.ts";

export interface DataSource {
  readonly id: number;
  readonly uid: string;
  readonly name: string;
  readonly type: string;
  readonly url: string;
  readonly isDefault: boolean;
}

/** How many dashboards are read. Others are skipped. */
const maxDashboards = 200;

interface Named {
  readonly name?: string;
  readonly uid?: string;
  readonly type?: string;
  readonly url?: string;
  readonly isDefault?: boolean;
  readonly folder?: string;
  readonly options?: { readonly path?: string };
}

/** Reads the data sources in the files below `provisioning/datasources`. */
export async function readDataSources(provisioning: string, log: Logger): Promise<DataSource[]> {
  const found = await readLists(join(provisioning, "datasources"), "datasources", log);
  return found.map(({ name = "", uid = name.toLowerCase(), type = "", url = "", isDefault = false }, index) => ({
    id: index + 1,
    uid,
    name,
    type,
    url,
    isDefault,
  }));
}

/**
 * Reads the dashboards in the directories that the files below `provisioning/dashboards` name. Reads them at each call,
 * so that changes take effect.
 */
export async function readDashboards(provisioning: string, log: Logger): Promise<Dashboard[]> {
  const dashboards: Dashboard[] = [];
  for (const { folder = "", options } of await readLists(join(provisioning, "dashboards"), "providers", log)) {
    const directory = options?.path ?? "";
    for (const file of await filesIn(directory, /\.json$/)) {
      if (dashboards.length >= maxDashboards) return dashboards;
      try {
        dashboards.push(
          readDashboard(JSON.parse(await readFile(join(directory, file), "utf8")), file.replace(/\.json$/, ""), folder),
        );
      } catch (error) {
        log.warn("a dashboard cannot be read", { file: join(directory, file), error: messageOf(error) });
      }
    }
  }
  return dashboards;
}

async function readLists(directory: string, field: string, log: Logger): Promise<Named[]> {
  const found: Named[] = [];
  for (const file of await filesIn(directory, /\.ya?ml$/)) {
    try {
      const document = parse(await readFile(join(directory, file), "utf8")) as Record<string, unknown> | null;
      const list = document?.[field];
      if (Array.isArray(list)) found.push(...(list as Named[]));
    } catch (error) {
      log.warn("a provisioning file cannot be read", { file: join(directory, file), error: messageOf(error) });
    }
  }
  return found;
}

async function filesIn(directory: string, pattern: RegExp): Promise<string[]> {
  const names = await readdir(directory).catch(() => []);
  return names.filter((name) => pattern.test(name)).sort();
}
