"""Operations of networks, one file a family: the classes, and how layers of Keras become them."""
