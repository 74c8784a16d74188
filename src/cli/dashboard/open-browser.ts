import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Environment } from "../../base/index.ts";

/** Opens a page with the desktop's program. Returns false if there is no desktop or no such program. */
export async function openBrowser(url: string, platform: NodeJS.Platform, env: Environment): Promise<boolean> {
  const hasDisplay = platform === "darwin" || env["DISPLAY"] !== undefined || env["WAYLAND_DISPLAY"] !== undefined;
  if (!hasDisplay) return false;
  const child = spawn(platform === "darwin" ? "open" : "xdg-open", [url], { stdio: "ignore", detached: true });
  try {
    await once(child, "spawn");
  } catch {
    return false;
  }
  child.unref();
  return true;
}
