// A program for a test. It prints the inode of the network namespace that it takes for its node's.
import { openHostNamespace } from "../host-namespace.ts";

process.stdout.write(String(openHostNamespace("/proc").inode));
