int hw_linux_placeholder(void);
