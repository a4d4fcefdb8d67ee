"""The workers, the kernel they stand on, the storefront's SDK and the command line."""
