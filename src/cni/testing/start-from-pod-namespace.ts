// For a test: starts a program in a new PID namespace while this process is in a pod's network namespace. Prints what
// the program prints.
import { execFileSync } from "node:child_process";
import { check, libc, NetworkNamespace } from "../../net/index.ts";

/** Linux's CLONE_NEWPID. */
const cloneNewPid = 0x2000_0000;

const [program = ""] = process.argv.slice(2);
using pod = NetworkNamespace.create();
// The children's PID namespace. No thread can be created after this, so it comes last.
check("unshare a PID namespace", libc().unshare(cloneNewPid));
const unshared = ["--net", process.execPath, program];
process.stdout.write(pod.enter(() => execFileSync("unshare", unshared, { encoding: "utf8" })));
