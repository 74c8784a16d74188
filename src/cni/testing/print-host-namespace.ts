// For a test: prints the network namespace that this process finds as its node's.
import { openHostNamespace } from "../host-namespace.ts";

process.stdout.write(String(openHostNamespace("/proc").inode));
