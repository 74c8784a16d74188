// The applets that machines often lack, for images of busybox in the lab: `busybox.ts APPLET WORDS…`.
import { httpd } from "./httpd.ts";
import { nc } from "./nc.ts";
import { nslookup } from "./nslookup.ts";
import { printError } from "./print.ts";
import { UsageError } from "./options.ts";
import { wget } from "./wget.ts";

const applets: Readonly<Record<string, (words: readonly string[]) => Promise<number>>> = { httpd, nc, nslookup, wget };

const [name = "", ...words] = process.argv.slice(2);
const applet = applets[name];
if (applet === undefined) {
  printError(`${name}: applet not found; the applets are ${Object.keys(applets).join(", ")}`);
  process.exitCode = 127;
} else {
  try {
    process.exitCode = await applet(words);
    // Input that nobody reads any more must not keep the process alive.
    process.stdin.destroy();
  } catch (error) {
    printError(`${name}: ${(error as Error).message}`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
